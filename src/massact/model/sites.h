// The named points of the network at which values can be observed, edited and dumped.
// Names and shapes are those of docs/sites.md (TransformerLens's hook names).
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

struct ModelConfig;

/// One per row of the site table, in the order in which a forward pass reaches them.
enum class SiteKind : std::uint8_t {
  embed,
  pos_embed,
  resid_pre,
  ln1_scale,
  ln1_normalized,
  ln1_out,
  q,
  k,
  v,
  rot_q,
  rot_k,
  attn_scores,
  pattern,
  z,
  ln1_post_scale,
  ln1_post_normalized,
  ln1_post_out,
  attn_out,
  resid_mid,
  ln2_scale,
  ln2_normalized,
  ln2_out,
  mlp_router,
  mlp_pre,
  mlp_pre_linear,
  mlp_post,
  ln2_post_scale,
  ln2_post_normalized,
  ln2_post_out,
  mlp_out,
  resid_post,
  ln_final_out,
  logits
};
inline constexpr int kSiteKinds = static_cast<int>(SiteKind::logits) + 1;

/// A point of the network. `block` counts from 0 and is -1 for sites outside the blocks.
/// The user-facing layer of `resid_post` is block + 1.
struct Site {
  SiteKind kind = SiteKind::resid_post;
  int block = -1;
  auto operator<=>(const Site&) const = default;
};

/// True for the kinds that every block has (all but embed, pos_embed, ln_final_out, logits).
bool is_block_site(SiteKind kind);

/// True for attn_scores and pattern: visited per head and rows of queries, shape [H, T, S].
bool is_attention_map(SiteKind kind);

/// "blocks.3.hook_resid_post".
std::string name_of(Site site);

/// The name without the block: "hook_resid_post", "attn.hook_q".
std::string_view short_name(SiteKind kind);

/// Reads a full name ("blocks.3.attn.hook_q", "hook_logits"). Throws UsageError with the nearest
/// names for an unknown one, and for a block that `config` does not have.
Site parse_site(std::string_view name, const ModelConfig& config);

/// Reads a kind from its short name, with or without "hook_" and module ("attn.hook_q", "q",
/// "resid_post"). Throws UsageError with the nearest names.
SiteKind parse_site_kind(std::string_view name);

/// Why this architecture has no such site ("parallel blocks have no resid_mid"), or "" if it has.
std::string absence(SiteKind kind, const ModelConfig& config);

/// The same for one block, where blocks differ (some with experts, some without).
std::string absence(Site site, const ModelConfig& config);

/// Shape of the site for one sequence of `positions` rows: [T, d], [T, H, c], [H, T, S], …
std::vector<std::int64_t> site_shape(SiteKind kind, const ModelConfig& config,
                                     std::int64_t positions);

/// Values per position: the product of site_shape without T (not for attention maps).
std::int64_t site_width(SiteKind kind, const ModelConfig& config);

/// Every site the architecture has, in the order of a forward pass.
std::vector<Site> all_sites(const ModelConfig& config);

}  // namespace massact
