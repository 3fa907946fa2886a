// Which output of a classifier an image's label means.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "massact/image/image_set.h"
#include "massact/model/model.h"

namespace massact {

/// The classifier's class of every image; empty if the images have no labels or the model has no
/// classifier. The names of the images' classes are matched with the model's own (`id2label` in
/// config.json; without case, spaces for underscores, or one of several names separated by commas);
/// else whole numbers are classes themselves; else, if there are as many as the classifier has,
/// their order is the classifier's (ImageNet's folders). Throws Error if none of this fits.
std::vector<std::int64_t> head_labels(const Model& model, const ImageFiles& images);

/// The same for names alone: the class of each of `names`. `own` may be empty (a model without
/// names); `where` is for errors.
std::vector<std::int64_t> match_classes(const std::vector<std::string>& names,
                                        const std::vector<std::string>& own, std::int64_t outputs,
                                        const std::string& where);

}  // namespace massact
