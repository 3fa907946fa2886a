// Raw values of sites, written to a safetensors file while the model runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "massact/io/safetensors.h"
#include "massact/model/config.h"
#include "massact/run/observer.h"

namespace massact::observe {

/// Writes every value of the given sites of one stream, as float32. Holds no more than the piece
/// that is being visited.
///
/// Tensors: if all sequences have the same length, one per site, named like it
/// ("blocks.0.hook_resid_post"), of shape [N, …] with the site's shape of the site table; else one
/// per sequence and site, "seq{n}/blocks.0.hook_resid_post", of the site's shape.
class Dump final : public Observer {
 public:
  /// `lengths` are the positions of every sequence (of `Plan::sequences`, with the sink token's row
  /// where there is one). `metadata` goes into the file's header. Claims the disk space.
  Dump(const std::filesystem::path& path, const std::vector<Site>& sites, const ModelConfig& config,
       std::vector<std::int64_t> lengths, const std::map<std::string, std::string>& metadata = {});

  /// Throws Error for sites and sequences that were not announced.
  void observe(const SiteView& view, Threads& threads) override;

  /// Call once after the run: makes the file visible. Throws Error if values are missing. Without
  /// it nothing is left on the disk.
  void commit();

 private:
  bool stacked() const;
  std::string tensor_name(Site site, std::int64_t sequence) const;

  std::int64_t heads_;
  bool pools_;  // one row of logits per sequence
  std::vector<std::int64_t> lengths_;
  std::unique_ptr<SafetensorsWriter> writer_;
  std::vector<float> rows_;  // a piece whose rows are not contiguous
};

}  // namespace massact::observe
