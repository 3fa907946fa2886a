// The flags of `massact explain` and what it does with them; `massact report` does the same.
#pragma once

#include <string>
#include <vector>

#include "massact/cli/flags.h"
#include "massact/study/explain.h"

namespace massact {

struct ExplainFlags {
  ModelFlags model;
  TextFlags text;
  ImageFlags images;
  RunFlags run;
  OutputFlags output;
  std::string rule = "strict";
  std::string classes;
  std::string finding = "all";
  std::vector<std::string> maps;
  ExplainOptions options;
};

/// Reads the text or the images and explains.
ExplainResult explain(const Model& model, const ExplainFlags& flags, Progress& progress);

}  // namespace massact
