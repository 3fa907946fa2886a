#include "massact/edit/edit_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "massact/base/error.h"
#include "massact/run/added_tokens.h"
#include "massact/text/position_class.h"

namespace massact::edit {
namespace {

constexpr std::uint64_t kMaxPlanBytes = 16u << 20;

struct ActionName {
  std::string_view name;
  Action action;
  std::string_view amount;                       // the field that it needs
  std::array<std::string_view, 3> options = {};  // those that it may have
};
constexpr std::array<ActionName, 8> kActions = {
    {{"zero", Action::zero, ""},
     {"set", Action::set, "value"},
     {"scale", Action::scale, "factor"},
     {"mean", Action::mean, ""},
     {"clamp", Action::clamp, "limit"},
     {"noise", Action::noise, "sigma", {"relative"}},
     {"quantise", Action::quantise, "", {"bits", "per", "massive"}},
     {"move", Action::move, ""}}};

// Fields that nobody reads are mistakes: "dimension" instead of "dimensions" edits everything.
void require_known_fields(const JsonObject& json, std::initializer_list<std::string_view> known) {
  for (const std::string& key : json.keys()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      fail_usage(json.where(key), "expected one of {}, got an unknown field",
                 fmt::join(known, ", "));
    }
  }
}

// A field of another action: "factor" of set.
void require_fields_of(const ActionName& action, const JsonObject& json) {
  for (const std::string_view field :
       {"value", "factor", "limit", "sigma", "relative", "bits", "per", "massive"}) {
    const bool read =
        field == action.amount ||
        std::find(action.options.begin(), action.options.end(), field) != action.options.end();
    if (!read && json.has(field)) {
      fail_usage(json.where(field), "expected no such field for {}", action.name);
    }
  }
}

// A number that a float holds.
double number_in(const JsonObject& json, std::string_view field) {
  const auto number = json.get<double>(field);
  if (std::abs(number) > static_cast<double>(std::numeric_limits<float>::max())) {
    fail_usage(json.where(field), "expected a number that a 32-bit float holds, got {}", number);
  }
  return number;
}

bool has_twice(std::vector<std::int64_t> list) {
  std::sort(list.begin(), list.end());
  return std::adjacent_find(list.begin(), list.end()) != list.end();
}

struct Listed {
  std::string where;  // "plan.json: variants[0].edits[1]"
  JsonObject json;
};

// The objects of an array field.
std::vector<Listed> objects_in(const JsonObject& json, std::string_view field) {
  const nlohmann::json* list = json.find(field);
  if (list == nullptr) return {};
  if (!list->is_array()) {
    fail_usage(json.where(field), "expected an array, got {}", describe_json(*list));
  }
  std::vector<Listed> objects;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string where = fmt::format("{}[{}]", json.where(field), i);
    objects.push_back({where, JsonObject((*list)[i], where)});
  }
  return objects;
}

std::vector<int> layers_in(const JsonObject& json, const ModelConfig& config) {
  const nlohmann::json& value = *json.find("layer");
  std::vector<std::int64_t> layers;
  if (value == "all") {
    for (std::int64_t layer = 1; layer <= config.layers; ++layer) layers.push_back(layer);
  } else if (value.is_array()) {
    layers = json.get<std::vector<std::int64_t>>("layer");
  } else {
    layers = {json.get<std::int64_t>("layer")};
  }
  if (layers.empty()) fail_usage(json.where("layer"), "expected at least one layer, got none");
  if (has_twice(layers)) fail_usage(json.where("layer"), "expected each layer once");
  for (const std::int64_t layer : layers) {
    if (layer < 0 || layer > config.layers) {
      fail_usage(json.where("layer"), "expected layers from 0 (the embedding) to {}, got {}",
                 config.layers, layer);
    }
  }
  return {layers.begin(), layers.end()};
}

// A full site name, or `layer` with a short one.
std::vector<Site> sites_in(const JsonObject& json, const ModelConfig& config) {
  const auto name = json.get_or<std::string>("site", "resid_post");
  std::vector<Site> sites;
  if (!json.has("layer")) {
    if (!json.has("site")) {
      fail_usage(json.where("site"), "expected a full site name, or `layer` with a short one");
    }
    sites = {parse_site(name, config)};
  } else {
    if (name.starts_with("blocks.")) {
      fail_usage(json.where("site"), "expected a short site name beside `layer`, got '{}'", name);
    }
    const SiteKind kind = parse_site_kind(name);
    if (!is_block_site(kind)) {
      fail_usage(json.where("layer"), "expected no layer for {}, which is outside the blocks",
                 short_name(kind));
    }
    for (const int layer : layers_in(json, config)) {
      const bool embedding = layer == 0 && kind == SiteKind::resid_post;
      if (layer == 0 && !embedding) {
        fail_usage(json.where("layer"), "expected a layer from 1 for {}, got 0", short_name(kind));
      }
      sites.push_back(embedding ? Site{SiteKind::resid_pre, 0} : Site{kind, layer - 1});
    }
  }
  for (const Site site : sites) {
    const std::string reason = absence(site, config);
    if (!reason.empty()) fail_usage(json.where("site"), "no such site in this model: {}", reason);
    if (is_attention_map(site.kind)) {
      fail_usage(json.where("site"), "expected a site with a row per position, got {}",
                 name_of(site));
    }
  }
  return sites;
}

// The classes of positions that a model's sequences have.
void check_position_class(const std::string& name, const ModelConfig& config,
                          std::string_view where) {
  if (name == "sink") return;
  if (!config.is_vision()) {
    (void)parse_position_class(name, where);
    return;
  }
  if (name != "cls" && name != "register" && name != "patch" && name != "added") {
    fail_usage(
        where,
        "expected all, found, cls, register, patch, added or sink of a vision model, got '{}'",
        name);
  }
}

void read_positions(const JsonObject& json, const ModelConfig& config, EditSpec& spec) {
  const nlohmann::json* value = json.find("positions");
  if (value == nullptr) return;
  if (value->is_array()) {
    spec.positions = {Positions::Kind::index, "", json.get<std::vector<std::int64_t>>("positions")};
    if (spec.positions.index.empty()) {
      fail_usage(json.where("positions"), "expected at least one position, got none");
    }
    for (const std::int64_t position : spec.positions.index) {
      if (position < 0)
        fail_usage(json.where("positions"), "expected positions from 0, got {}", position);
    }
    if (has_twice(spec.positions.index)) {
      fail_usage(json.where("positions"), "expected each position once");
    }
    return;
  }
  const auto name = json.get<std::string>("positions");
  spec.found = name == "found";
  if (spec.found || name == "all") return;
  check_position_class(name, config, json.where("positions"));
  spec.positions = {Positions::Kind::position_class, name, {}};
}

void read_dimensions(const JsonObject& json, const ModelConfig& config, EditSpec& spec) {
  const nlohmann::json* value = json.find("dimensions");
  if (value == nullptr || *value == "all") return;
  spec.dimensions = json.get<std::vector<std::int64_t>>("dimensions");
  if (spec.dimensions.empty()) {
    fail_usage(json.where("dimensions"), "expected at least one dimension, got none");
  }
  for (const std::int64_t d : spec.dimensions) {
    const std::int64_t width = site_width(spec.sites.front().kind, config);
    if (d < 0 || d >= width) {
      fail_usage(json.where("dimensions"), "expected dimensions from 0 to {} at {}, got {}",
                 width - 1, name_of(spec.sites.front()), d);
    }
  }
  if (has_twice(spec.dimensions)) {
    fail_usage(json.where("dimensions"), "expected each dimension once");
  }
  std::sort(spec.dimensions.begin(), spec.dimensions.end());
}

void read_quantisation(const JsonObject& json, EditSpec& spec) {
  spec.bits = json.get_or<int>("bits", 8);
  if (spec.bits != 8 && spec.bits != 4) {
    fail_usage(json.where("bits"), "expected 8 or 4, got {}", spec.bits);
  }
  const auto per = json.get_or<std::string>("per", "token");
  if (per != "token" && per != "tensor") {
    fail_usage(json.where("per"), "expected token or tensor, got '{}'", per);
  }
  spec.per_token = per == "token";
  const auto massive = json.get_or<std::string>("massive", "in");
  if (massive != "in" && massive != "kept" && massive != "mean") {
    fail_usage(json.where("massive"), "expected in, kept or mean, got '{}'", massive);
  }
  spec.massive = massive == "in"     ? MassiveScalars::in
                 : massive == "kept" ? MassiveScalars::kept
                                     : MassiveScalars::mean;
  if (spec.found || json.has("positions") || !spec.dimensions.empty()) {
    fail_usage(json.where("positions"),
               "quantise works on whole rows: expected neither positions "
               "nor dimensions");
  }
  for (const Site site : spec.sites) {
    if (!is_block_site(site.kind)) {
      fail_usage(json.where("site"), "expected a site inside a block for quantise, got {}",
                 name_of(site));
    }
  }
}

EditSpec read_edit(const JsonObject& json, const std::string& where, const ModelConfig& config) {
  require_known_fields(json, {"site", "layer", "positions", "dimensions", "action", "value",
                              "factor", "limit", "sigma", "relative", "bits", "per", "massive"});
  EditSpec spec;
  spec.where = where;
  spec.sites = sites_in(json, config);
  read_positions(json, config, spec);
  read_dimensions(json, config, spec);
  const auto name = json.get<std::string>("action");
  const auto it = std::find_if(kActions.begin(), kActions.end(),
                               [&](const ActionName& action) { return action.name == name; });
  if (it == kActions.end()) {
    fail_usage(json.where("action"),
               "expected zero, set, scale, mean, clamp, noise, quantise or move, got '{}'", name);
  }
  spec.action = it->action;
  require_fields_of(*it, json);
  if (!it->amount.empty()) spec.amount = number_in(json, it->amount);
  const bool negative = spec.amount < 0.0;
  if (negative && (spec.action == Action::clamp || spec.action == Action::noise)) {
    fail_usage(json.where(it->amount), "expected a number that is not negative, got {}",
               spec.amount);
  }
  spec.relative = json.get_or<bool>("relative", false);
  if (spec.action == Action::quantise) read_quantisation(json, spec);
  if (spec.action == Action::move && spec.positions.position_class == "added") {
    fail_usage(json.where("positions"), "expected positions to move something from, got added");
  }
  require_sites_with_findings(spec);
  return spec;
}

WeightEdit read_weight_edit(const JsonObject& json, const std::string& where) {
  require_known_fields(json, {"weight", "row", "column", "factor", "prune_rows"});
  WeightEdit edit;
  edit.where = where;
  edit.weight = json.get<std::string>("weight");
  edit.prune_rows = json.get_or<std::int64_t>("prune_rows", 0);
  const bool has_place = json.has("row") || json.has("column");
  if (json.has("prune_rows") == has_place) {
    fail_usage(json.where("row"), "expected row, column or both, or prune_rows");
  }
  if (json.has("prune_rows") && edit.prune_rows < 1) {
    fail_usage(json.where("prune_rows"), "expected at least 1, got {}", edit.prune_rows);
  }
  const auto read_index = [&](const char* field, std::int64_t& index) {
    if (!json.has(field)) return;
    index = json.get<std::int64_t>(field);
    if (index < 0) fail_usage(json.where(field), "expected at least 0, got {}", index);
  };
  read_index("row", edit.row);
  read_index("column", edit.column);
  if (json.has("factor")) {
    if (!has_place) fail_usage(json.where("factor"), "expected no factor beside prune_rows");
    edit.factor = number_in(json, "factor");
  }
  return edit;
}

// Tokens to add, and edits that move something there.
void read_added_tokens(const JsonObject& json, const ModelConfig& config, VariantSpec& variant) {
  variant.added_tokens = json.get_or<std::int64_t>("added_tokens", 0);
  if (variant.added_tokens < 0) {
    fail_usage(json.where("added_tokens"), "expected at least 0, got {}", variant.added_tokens);
  }
  if (variant.added_tokens > 0 && !config.is_vision()) {
    fail_usage(json.where("added_tokens"), "expected a vision model, got one that reads text");
  }
  if (variant.added_tokens > 0 && !variant.weights.empty()) {
    fail_usage(json.where("added_tokens"),
               "expected no weight edits in a variant that adds tokens");
  }
  const std::string absent = no_added_tokens(config);
  if (variant.added_tokens > 0 && !absent.empty()) {
    fail_usage(json.where("added_tokens"), "{}", absent);
  }
  for (const EditSpec& edit : variant.edits) {
    if (edit.action == Action::move && variant.added_tokens == 0) {
      fail_usage(edit.where, "expected `added_tokens` in a variant that moves something to them");
    }
    const bool outside = std::any_of(edit.sites.begin(), edit.sites.end(), [](Site site) {
      return site.block < 0 && site.kind < SiteKind::ln_final_out;
    });
    if (variant.added_tokens > 0 && outside) {
      fail_usage(edit.where,
                 "expected edits within the blocks in a variant that adds tokens, got {}",
                 name_of(edit.sites.front()));
    }
  }
}

}  // namespace

bool EditSpec::needs_findings() const {
  return found || action == Action::mean || massive != MassiveScalars::in;
}

EditPlan EditPlan::parse(const JsonObject& json, const Model& model) {
  require_known_fields(json, {"schema", "schema_version", "variants"});
  const auto schema = json.get<std::string>("schema");
  if (schema != "massact.edit-plan") {
    fail_usage(json.where("schema"), "expected massact.edit-plan, got '{}'", schema);
  }
  if (const auto version = json.get<int>("schema_version"); version != 1) {
    fail_usage(json.where("schema_version"), "expected 1, got {}", version);
  }
  EditPlan plan;
  std::set<std::string> names = {"original"};
  for (const auto& [where, entry] : objects_in(json, "variants")) {
    require_known_fields(entry, {"name", "added_tokens", "edits", "weights"});
    VariantSpec variant;
    variant.name = entry.get<std::string>("name");
    if (variant.name.empty() || !names.insert(variant.name).second) {
      fail_usage(entry.where("name"), "expected a name of its own, got '{}'", variant.name);
    }
    for (const Listed& edit : objects_in(entry, "edits")) {
      variant.edits.push_back(read_edit(edit.json, edit.where, model.config()));
    }
    for (const Listed& edit : objects_in(entry, "weights")) {
      variant.weights.push_back(read_weight_edit(edit.json, edit.where));
    }
    require_weight_edits(model, variant.weights);
    read_added_tokens(entry, model.config(), variant);
    if (variant.edits.empty() && variant.weights.empty() && variant.added_tokens == 0) {
      fail_usage(entry.where("edits"), "expected at least one edit, got none");
    }
    plan.variants.push_back(std::move(variant));
  }
  if (plan.variants.empty()) {
    fail_usage(json.where("variants"), "expected at least one variant, got none");
  }
  return plan;
}

EditPlan EditPlan::from_file(const std::filesystem::path& path, const Model& model) {
  return parse(JsonObject::from_file(path, kMaxPlanBytes), model);
}

void require_sites_with_findings(const EditSpec& spec) {
  if (!spec.needs_findings()) return;
  for (const Site site : spec.sites) {
    if (site.kind == SiteKind::resid_post || site.kind == SiteKind::resid_pre) continue;
    fail_usage(spec.where,
               "expected a site of the residual stream (resid_post) for found scalars and means, "
               "got {}",
               name_of(site));
  }
}

bool EditPlan::needs_findings() const {
  return std::any_of(variants.begin(), variants.end(), [](const VariantSpec& variant) {
    return std::any_of(variant.edits.begin(), variant.edits.end(),
                       [](const EditSpec& edit) { return edit.needs_findings(); });
  });
}

}  // namespace massact::edit
