#include "massact/report/trace_file.h"

#include <algorithm>
#include <memory>
#include <span>

#include "massact/base/error.h"
#include "massact/io/safetensors.h"

namespace massact {
namespace {

// Rows of a site in one sequence: the sink token's row is dropped before the final norm.
std::int64_t rows_of(Site site, const ModelConfig& config, std::int64_t tokens) {
  return tokens + (is_block_site(site.kind) ? config.prefix_rows() : 0);
}

Shape shape_of(Site site, const ModelConfig& config, std::int64_t sequences, std::int64_t tokens) {
  std::vector<std::int64_t> extents = site_shape(site.kind, config, rows_of(site, config, tokens));
  extents.insert(extents.begin(), sequences);
  return Shape(std::move(extents));
}

// Puts every view at its place in the file.
class TraceWriter final : public Observer {
 public:
  TraceWriter(std::shared_ptr<SafetensorsWriter> file, std::int64_t heads)
      : file_(std::move(file)), heads_(heads) {}

  void observe(const SiteView& view, Threads&) override {
    const std::int64_t maps = view.head < 0 ? 1 : heads_;
    const std::int64_t map = view.sequence * maps + std::max<std::int64_t>(view.head, 0);
    const auto positions = static_cast<std::int64_t>(view.tokens.size());
    const std::string name = name_of(view.site);
    for (std::int64_t row = 0; row < view.values.rows; ++row) {
      const std::int64_t at = (map * positions + view.first_position + row) * view.values.cols;
      file_->write(name, static_cast<std::uint64_t>(at) * sizeof(float),
                   std::as_bytes(std::span(view.values.row(row),
                                           static_cast<std::size_t>(view.values.cols))));
    }
  }

 private:
  std::shared_ptr<SafetensorsWriter> file_;
  std::int64_t heads_;
};

}  // namespace

RunReport write_trace(const Model& model, std::vector<Plan::Tokens> sequences,
                      const std::vector<Site>& sites, const std::filesystem::path& out,
                      const std::map<std::string, std::string>& metadata,
                      const RunOptions& options, Progress& progress) {
  const ModelConfig& config = model.config();
  const std::size_t length = sequences.empty() ? 0 : sequences.front().size();
  for (const Plan::Tokens& sequence : sequences) {
    if (sequence.size() != length) {
      fail_usage("trace", "expected sequences of one length, got {} and {} tokens (give one text, "
                 "or a smaller --seq-len)", length, sequence.size());
    }
  }
  const auto count = static_cast<std::int64_t>(sequences.size());
  const auto tokens = static_cast<std::int64_t>(length);
  std::vector<SafetensorsWriter::Declaration> tensors = {
      {"tokens", DType::i32, Shape({count, tokens})}};
  for (const Site site : sites) {
    tensors.push_back({name_of(site), DType::f32, shape_of(site, config, count, tokens)});
  }
  Plan plan(model, sequences);
  auto file = std::make_shared<SafetensorsWriter>(out, std::move(tensors), metadata);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    file->write("tokens", i * length * sizeof(std::int32_t), std::as_bytes(std::span(sequences[i])));
  }
  plan.observe(sites, TraceWriter(file, config.heads));
  RunReport report = run(plan, options, progress);
  file->commit();
  return report;
}

}  // namespace massact
