// What happens over a picture: where tokens are huge, where attention goes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "massact/base/progress.h"
#include "massact/image/image_set.h"
#include "massact/model/model.h"
#include "massact/run/executor.h"
#include "massact/study/scan.h"

namespace massact {

/// One layer of one picture. Vectors are by token: class tokens, registers, patches row by row.
struct PictureLayer {
  int layer = 0;                 ///< counts from 1
  std::vector<float> norms;      ///< ‖h‖₂ behind the layer (blocks.i.hook_resid_post)
  std::vector<float> attention;  ///< what the layer's heads give to each token (attn.hook_pattern),
                                 ///< mean over heads; empty: too many tokens
};

struct Picture {
  std::string file;
  Image image;  ///< as the model sees it: resized and cropped
  std::vector<PictureLayer> layers;
};

struct PictureMaps {
  ScanFacts facts;  ///< model, family, layers and width alone
  PatchGrid grid;
  std::int64_t class_tokens = 0;
  std::int64_t registers = 0;
  /// Attention is the class token's; false (a model without one): the mean over all tokens.
  bool of_class_token = true;
  std::vector<Picture> pictures;
};

/// Runs the model over the pictures once and keeps them all. Throws UsageError if it reads texts.
PictureMaps map_pictures(const Model& model, std::shared_ptr<const ImageFiles> images,
                         const RunOptions& options, Progress& progress);

}  // namespace massact
