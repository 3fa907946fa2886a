// The flags of `massact report`, and what the commands that it runs would be told.
#pragma once

#include <string>
#include <vector>

#include "massact/cli/flags.h"

namespace massact {

struct ReportFlags {
  std::vector<std::string> paths;
  TextFlags text;
  ImageFlags images;
  RunFlags run;
  OutputFlags output;
  std::string rule = "strict";
  std::string tokenizer;
  bool quick = false;
};

/// Bounds of --quick.
inline constexpr std::int64_t kQuickSequences = 8;
inline constexpr std::int64_t kQuickSeqLen = 256;
inline constexpr std::int64_t kQuickImages = 8;
/// Tokens per sequence at most without --text, --tokens and --seq-len.
inline constexpr std::int64_t kBuiltInSeqLen = 512;

/// The text that this model reads, within the bounds of --quick if that was given.
TextFlags text_of(const ReportFlags& flags, const Model& model);

/// The images, within the bounds of --quick.
ImageFlags images_of(const ReportFlags& flags);

/// A line on stderr, unless nobody wants to hear.
void remark(const ReportFlags& flags, const std::string& text);

}  // namespace massact
