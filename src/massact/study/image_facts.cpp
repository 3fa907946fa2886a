#include "massact/study/image_facts.h"

#include <fmt/format.h>

namespace massact {

ImageFacts image_facts(const ModelConfig& config, const ImageFiles& images) {
  ImageFacts facts;
  for (std::int64_t i = 0; i < images.count(); ++i) facts.files.push_back(images.name(i));
  facts.height = images.height();
  facts.width = images.width();
  facts.grid = config.vision.grid_of(facts.height, facts.width);
  facts.class_tokens = config.vision.class_tokens;
  facts.registers = config.vision.registers;
  facts.preprocessing = images.preprocess().source;
  facts.passed_over = images.list().passed_over;
  facts.skipped = images.skipped();
  facts.classes = images.list().classes;
  return facts;
}

std::string describe(const ImageFacts& facts) {
  if (facts.files.size() == 1) return facts.files.front();
  return fmt::format("{} and {} more", facts.files.front(), facts.files.size() - 1);
}

}  // namespace massact
