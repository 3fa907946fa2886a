// Which output of a classifier an image's label means.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "massact/model/model.h"

namespace massact {

/// The names of a checkpoint's classes, by class: config.json's `id2label`, or timm's
/// `label_names`. Empty if it does not tell, or says no more than "LABEL_3".
std::vector<std::string> class_names_of(const Model& model, std::int64_t outputs);

struct ClassMatch {
  std::vector<std::int64_t> classes;  ///< of each name
  std::string remark;  ///< if nothing but their order said so: that it did; else empty
};

/// The classes of a classifier with `outputs` of them that labels mean. `own`: the classes' names
/// (several for one class are separated by commas), or empty if they are not known. Names are
/// matched without case and with spaces for underscores; else whole numbers are classes themselves
/// ("LABEL_3" too); else, where no name can say it, as many labels as classes are in their order:
/// WordNet ids (ImageNet's folders), and anything if the classes have no names. Throws Error naming
/// `where`, which says what to do, if none of this fits.
ClassMatch match_classes(const std::vector<std::string>& names, const std::vector<std::string>& own,
                         std::int64_t outputs, const std::string& where);

}  // namespace massact
