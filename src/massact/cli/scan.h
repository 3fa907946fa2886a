// The flags of `massact scan` and what it does with them; `massact report` does the same.
#pragma once

#include <string>

#include "massact/cli/flags.h"
#include "massact/study/scan.h"

namespace massact {

struct ScanFlags {
  ModelFlags model;
  TextFlags text;
  ImageFlags images;
  RunFlags run;
  OutputFlags output;
  std::string layers = "all";
  std::string rule = "strict";
  std::string classes;
};

/// Reads the text or the images, and scans.
ScanResult scan(const Model& model, const ScanFlags& flags, Progress& progress);

}  // namespace massact
