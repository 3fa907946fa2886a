#include "massact/model/sites.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/model/config.h"

namespace massact {
namespace {

constexpr std::array<std::string_view, kSiteKinds> kNames = {
    "hook_embed",          "hook_pos_embed",  "hook_resid_pre",      "ln1.hook_scale",
    "ln1.hook_normalized", "ln1.hook_out",    "attn.hook_q",         "attn.hook_k",
    "attn.hook_v",         "attn.hook_rot_q", "attn.hook_rot_k",     "attn.hook_attn_scores",
    "attn.hook_pattern",   "attn.hook_z",     "ln1_post.hook_scale", "ln1_post.hook_normalized",
    "ln1_post.hook_out",   "hook_attn_out",   "hook_resid_mid",      "ln2.hook_scale",
    "ln2.hook_normalized", "ln2.hook_out",    "mlp.hook_router",     "mlp.hook_pre",
    "mlp.hook_pre_linear", "mlp.hook_post",   "ln2_post.hook_scale", "ln2_post.hook_normalized",
    "ln2_post.hook_out",   "hook_mlp_out",    "hook_resid_post",     "ln_final.hook_out",
    "hook_logits",
};

constexpr const char* kInsideExperts =
    "each token runs through other experts: see mlp.hook_router and hook_mlp_out";

SiteKind kind_at(int index) { return static_cast<SiteKind>(index); }

[[noreturn]] void fail_unknown(std::string_view name, std::span<const std::string> known) {
  const auto close = nearest(name, known);
  fail_usage("site", "unknown site '{}' (nearest: {})", name, join(close));
}

// "attn.hook_q" -> "q"; also accepts the full short name and the one without "hook_".
std::string bare(std::string_view name) {
  std::string result(name);
  if (const auto hook = result.find("hook_"); hook != std::string::npos) result.erase(hook, 5);
  return result;
}

}  // namespace

bool is_block_site(SiteKind kind) {
  return kind != SiteKind::embed && kind != SiteKind::pos_embed && kind < SiteKind::ln_final_out;
}

bool is_attention_map(SiteKind kind) {
  return kind == SiteKind::attn_scores || kind == SiteKind::pattern;
}

std::string_view short_name(SiteKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

std::string name_of(Site site) {
  if (!is_block_site(site.kind)) return std::string(short_name(site.kind));
  return fmt::format("blocks.{}.{}", site.block, short_name(site.kind));
}

SiteKind parse_site_kind(std::string_view name) {
  const std::string wanted = bare(name);
  std::vector<std::string> known;
  for (int i = 0; i < kSiteKinds; ++i) {
    const std::string full = bare(short_name(kind_at(i)));
    const auto dot = full.rfind('.');
    // "ln1.scale" and "ln2.scale" share their last part: only unambiguous ones may drop the module.
    const bool may_drop_module = dot != std::string::npos && !full.starts_with("ln");
    if (wanted == full || (may_drop_module && wanted == full.substr(dot + 1))) return kind_at(i);
    known.emplace_back(short_name(kind_at(i)));
  }
  fail_unknown(name, known);
}

Site parse_site(std::string_view name, const ModelConfig& config) {
  static constexpr std::string_view kPrefix = "blocks.";
  Site site;
  std::string_view rest = name;
  if (rest.starts_with(kPrefix)) {
    rest.remove_prefix(kPrefix.size());
    const auto [end, status] = std::from_chars(rest.data(), rest.data() + rest.size(), site.block);
    const auto digits = static_cast<std::size_t>(end - rest.data());
    if (status != std::errc() || digits >= rest.size() || rest[digits] != '.') site.block = -1;
    if (site.block < 0 || site.block >= config.layers) {
      fail_usage("site", "expected a block from 0 to {} in '{}' (site names count from 0)",
                 config.layers - 1, name);
    }
    rest.remove_prefix(digits + 1);
  }
  for (int i = 0; i < kSiteKinds; ++i) {
    if (rest == short_name(kind_at(i)) && is_block_site(kind_at(i)) == (site.block >= 0)) {
      site.kind = kind_at(i);
      return site;
    }
  }
  std::vector<std::string> known;
  for (int i = 0; i < kSiteKinds; ++i) {
    known.push_back(name_of({kind_at(i), site.block >= 0 ? site.block : 0}));
  }
  fail_unknown(name, known);
}

std::string absence(SiteKind kind, const ModelConfig& config) {
  const bool experts_everywhere = config.moe.experts > 0 && !config.moe.is_mixed();
  switch (kind) {
    case SiteKind::pos_embed:
      return config.positions == PositionKind::learned ? "" : "the model has no learned positions";
    case SiteKind::rot_q:
    case SiteKind::rot_k:
      return config.positions == PositionKind::rotary ? "" : "the model has no rotary embedding";
    case SiteKind::ln1_scale:
    case SiteKind::ln1_normalized:
    case SiteKind::ln1_out:
      return config.has_norms() ? "" : "attention reads the stream as it is: see ln1_post";
    case SiteKind::ln2_scale:
    case SiteKind::ln2_normalized:
    case SiteKind::ln2_out:
      if (!config.has_norms()) return "the MLP reads the stream as it is: see ln2_post";
      return config.order == BlockOrder::parallel_shared
                 ? "in this parallel block the MLP reads ln1's output"
                 : "";
    case SiteKind::ln1_post_scale:
    case SiteKind::ln1_post_normalized:
    case SiteKind::ln1_post_out:
    case SiteKind::ln2_post_scale:
    case SiteKind::ln2_post_normalized:
    case SiteKind::ln2_post_out:
      return config.has_branch_norms() ? "" : "the model has no norm behind attention and MLP";
    case SiteKind::resid_mid:
      return config.order == BlockOrder::sequential
                 ? ""
                 : "attention and MLP run in parallel: nothing lies between them";
    case SiteKind::ln_final_out:
      return config.final_norm ? "" : "the model has no final norm";
    case SiteKind::mlp_pre:
    case SiteKind::mlp_post:
      return experts_everywhere ? kInsideExperts : "";
    case SiteKind::mlp_pre_linear:
      if (experts_everywhere) return kInsideExperts;
      return config.gated_mlp ? "" : "the MLP is not gated";
    case SiteKind::mlp_router:
      return config.moe.experts > 0 ? "" : "the model has no mixture of experts";
    case SiteKind::logits:
      return config.logit_count() > 0 ? "" : "the checkpoint has no head (no classifier)";
    default:
      return "";
  }
}

std::string absence(Site site, const ModelConfig& config) {
  std::string reason = absence(site.kind, config);
  if (!reason.empty() || site.block < 0 || config.moe.experts == 0) return reason;
  const bool experts = config.moe.in_block(site.block);
  switch (site.kind) {
    case SiteKind::mlp_pre:
    case SiteKind::mlp_pre_linear:
    case SiteKind::mlp_post:
      return experts ? kInsideExperts : "";
    case SiteKind::mlp_router:
      return experts ? "" : "this block has one MLP and no experts";
    default:
      return "";
  }
}

std::vector<std::int64_t> site_shape(SiteKind kind, const ModelConfig& config,
                                     std::int64_t positions) {
  const std::int64_t T = positions;
  const std::int64_t S = T + (config.has_slot() ? 1 : 0);
  switch (kind) {
    case SiteKind::ln1_scale:
    case SiteKind::ln1_post_scale:
    case SiteKind::ln2_scale:
    case SiteKind::ln2_post_scale:
      return {T, 1};
    case SiteKind::q:
    case SiteKind::rot_q:
    case SiteKind::z:
      return {T, config.heads, config.head_size};
    case SiteKind::k:
    case SiteKind::v:
    case SiteKind::rot_k:
      return {T, config.kv_heads, config.head_size};
    case SiteKind::attn_scores:
    case SiteKind::pattern:
      return {config.heads, T, S};
    case SiteKind::mlp_pre:
    case SiteKind::mlp_pre_linear:
    case SiteKind::mlp_post:
      return {T, config.mlp_size};
    case SiteKind::mlp_router:
      return {T, config.moe.experts};
    case SiteKind::logits:
      return {config.head.pools() ? 1 : T, config.logit_count()};
    default:
      return {T, config.width};
  }
}

std::int64_t site_width(SiteKind kind, const ModelConfig& config) {
  const auto shape = site_shape(kind, config, 1);
  std::int64_t width = 1;
  for (const std::int64_t extent : shape) width *= extent;
  return width;
}

std::vector<Site> all_sites(const ModelConfig& config) {
  std::vector<Site> sites;
  const auto add = [&](int first, int last, int block) {
    for (int i = first; i <= last; ++i) {
      if (absence(Site{kind_at(i), block}, config).empty()) sites.push_back({kind_at(i), block});
    }
  };
  add(0, static_cast<int>(SiteKind::pos_embed), -1);
  for (int block = 0; block < config.layers; ++block) {
    add(static_cast<int>(SiteKind::resid_pre), static_cast<int>(SiteKind::resid_post), block);
  }
  add(static_cast<int>(SiteKind::ln_final_out), static_cast<int>(SiteKind::logits), -1);
  return sites;
}

}  // namespace massact
