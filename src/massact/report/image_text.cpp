#include "massact/report/image_text.h"

#include <fmt/format.h>

#include "massact/base/units.h"

namespace massact {

std::string left_out_text(const ImageFacts& images, const TextStyle& style) {
  std::string out;
  if (images.passed_over > 0) {
    out += wrap(fmt::format("{} {}: passed over.",
                            format_count(static_cast<std::uint64_t>(images.passed_over)),
                            images.passed_over == 1 ? "file is no image" : "files are no images"),
                style) +
           "\n";
  }
  for (const SkippedImage& skipped : images.skipped) {
    out += wrap("skipped " + printable(skipped.reason, style), style) + "\n";
  }
  return out;
}

std::string classifier_text(const ImageFacts& images, const TextStyle& style) {
  if (images.classifier.empty()) return "";
  return wrap("classes: " + printable(images.classifier, style), style) + "\n";
}

}  // namespace massact
