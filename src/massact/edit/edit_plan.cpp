#include "massact/edit/edit_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "massact/base/error.h"
#include "massact/edit/move.h"
#include "massact/text/position_class.h"

namespace massact::edit {
namespace {

constexpr std::uint64_t kMaxPlanBytes = 16u << 20;

struct ActionName {
  std::string_view name;
  Action action;
  std::string_view amount;  // the field that it needs
};
constexpr std::array<ActionName, 8> kActions = {{{"zero", Action::zero, ""},
                                                 {"set", Action::set, "value"},
                                                 {"scale", Action::scale, "factor"},
                                                 {"mean", Action::mean, ""},
                                                 {"clamp", Action::clamp, "limit"},
                                                 {"noise", Action::noise, "sigma"},
                                                 {"quantise", Action::quantise, ""},
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

// The objects of an array field.
std::vector<JsonObject> objects_in(const JsonObject& json, std::string_view field) {
  const nlohmann::json* list = json.find(field);
  if (list == nullptr) return {};
  if (!list->is_array()) {
    fail_usage(json.where(field), "expected an array, got {}", describe_json(*list));
  }
  std::vector<JsonObject> objects;
  for (std::size_t i = 0; i < list->size(); ++i) {
    // JsonObject's own name for a field is "where.field".
    objects.emplace_back((*list)[i], fmt::format("{}[{}]", json.where(field), i));
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
  std::sort(spec.dimensions.begin(), spec.dimensions.end());
  if (std::adjacent_find(spec.dimensions.begin(), spec.dimensions.end()) != spec.dimensions.end()) {
    fail_usage(json.where("dimensions"), "expected each dimension once");
  }
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
  if (!it->amount.empty()) spec.amount = json.get<double>(it->amount);
  const bool negative = spec.amount < 0.0;
  if (negative && (spec.action == Action::clamp || spec.action == Action::noise)) {
    fail_usage(json.where(it->amount), "expected a number that is not negative, got {}",
               spec.amount);
  }
  spec.relative = json.get_or<bool>("relative", false);
  if (spec.action == Action::quantise) read_quantisation(json, spec);
  return spec;
}

WeightEdit read_weight_edit(const JsonObject& json, const std::string& where, const Model& model) {
  require_known_fields(json, {"weight", "row", "column", "factor", "prune_rows"});
  WeightEdit edit;
  edit.where = where;
  edit.weight = json.get<std::string>("weight");
  if (!model.weights().has(edit.weight)) {
    fail_usage(json.where("weight"), "expected a weight of this model, got '{}'", edit.weight);
  }
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
  if (has_place) edit.factor = json.get_or<double>("factor", 0.0);
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
  for (const EditSpec& edit : variant.edits) {
    if (edit.action == Action::move && variant.added_tokens == 0) {
      fail_usage(edit.where, "expected `added_tokens` in a variant that moves something to them");
    }
  }
}

// What a site's edits need from the scan.
int residual_layer(const EditSpec& spec, Site site) {
  if (site.kind != SiteKind::resid_post && site.kind != SiteKind::resid_pre) {
    fail_usage(spec.where,
               "expected a site of the residual stream (resid_post) for found scalars and means, "
               "got {}",
               name_of(site));
  }
  return layer_of(site);
}

template <typename T>
std::shared_ptr<const T> at_layer(const std::map<int, std::shared_ptr<const T>>& by_layer,
                                  const EditSpec& spec, Site site, std::string_view what) {
  const auto it = by_layer.find(residual_layer(spec, site));
  require(it != by_layer.end() && it->second != nullptr, spec.where,
          "expected {} at layer {}, but no scalar meets the rule there", what, layer_of(site));
  return it->second;
}

std::shared_ptr<const ScalarLists> with_dimensions(std::shared_ptr<const ScalarLists> all,
                                                   const std::vector<std::int64_t>& dimensions) {
  if (dimensions.empty()) return all;
  ScalarLists kept = *all;
  for (auto& [sequence, list] : kept) {
    std::erase_if(list, [&](const Scalar& s) {
      return !std::binary_search(dimensions.begin(), dimensions.end(), s.dimension);
    });
  }
  return std::make_shared<const ScalarLists>(std::move(kept));
}

std::shared_ptr<const Selector> selector_of(const EditSpec& spec, Site site,
                                            const EditContext& context) {
  if (!spec.found) {
    return by_position(spec.positions, spec.dimensions, context.labels, context.prefix_rows);
  }
  const auto scalars = at_layer(context.found, spec, site, "found scalars");
  return by_list("found", with_dimensions(scalars, spec.dimensions), context.prefix_rows);
}

Change change_of(const EditSpec& spec, Site site, const EditContext& context) {
  const auto amount = static_cast<float>(spec.amount);
  switch (spec.action) {
    case Action::set:
      return set(amount);
    case Action::scale:
      return scale(amount);
    case Action::mean:
      return mean(at_layer(context.means, spec, site, "means"), context.labels);
    case Action::clamp:
      return clamp(amount);
    case Action::noise:
      return noise(spec.amount, spec.relative, context.seed);
    case Action::zero:
    case Action::quantise:
    case Action::move:
      break;
  }
  return zero();
}

std::unique_ptr<Edit> quantise_of(const EditSpec& spec, Site site, const EditContext& context) {
  Quantisation options;
  options.bits = spec.bits;
  options.per_token = spec.per_token;
  // A layer without massive scalars has none to keep apart.
  if (spec.massive != MassiveScalars::in && context.found.contains(residual_layer(spec, site))) {
    options.apart = by_list("massive scalars", at_layer(context.found, spec, site, "scalars"),
                            context.prefix_rows);
    if (spec.massive == MassiveScalars::mean) {
      options.means = at_layer(context.means, spec, site, "means");
      options.labels = context.labels;
    }
  }
  return quantise(std::move(options), context.prefix_rows);
}

struct Chosen {
  Site site;
  std::string where;
  std::shared_ptr<const Selector> selector;
};

// Two edits of one scalar contradict each other: found by listing what they choose, row by row.
void require_no_contradiction(const std::vector<Chosen>& chosen,
                              const std::vector<Plan::Tokens>& sequences,
                              const ModelConfig& config) {
  for (std::size_t s = 0; s < sequences.size() && chosen.size() > 1; ++s) {
    std::map<std::pair<Site, std::int64_t>, std::map<std::int64_t, const Chosen*>> seen;
    for (const Chosen& edit : chosen) {
      SiteView view;
      view.site = edit.site;
      view.sequence = static_cast<std::int64_t>(s);
      view.tokens = sequences[s];
      view.values.rows = std::ssize(sequences[s]);
      view.values.cols = site_width(edit.site.kind, config);
      edit.selector->select(view, [&](std::int64_t position, auto dimensions) {
        auto& row = seen[{edit.site, position}];
        for (const std::int64_t d : dimensions) {
          const auto [it, added] = row.emplace(d, &edit);
          if (added) continue;
          fail_usage(edit.where,
                     "contradicts {}: both change dimension {} at position {} of sequence {} at {}",
                     it->second->where, d, position, s, name_of(edit.site));
        }
      });
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
  for (const JsonObject& entry : objects_in(json, "variants")) {
    require_known_fields(entry, {"name", "added_tokens", "edits", "weights"});
    VariantSpec variant;
    variant.name = entry.get<std::string>("name");
    if (variant.name.empty() || !names.insert(variant.name).second) {
      fail_usage(entry.where("name"), "expected a name of its own, got '{}'", variant.name);
    }
    for (const JsonObject& edit : objects_in(entry, "edits")) {
      variant.edits.push_back(read_edit(edit, entry.where("edits"), model.config()));
    }
    for (const JsonObject& edit : objects_in(entry, "weights")) {
      variant.weights.push_back(read_weight_edit(edit, entry.where("weights"), model));
    }
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

bool EditPlan::needs_findings() const {
  return std::any_of(variants.begin(), variants.end(), [](const VariantSpec& variant) {
    return std::any_of(variant.edits.begin(), variant.edits.end(),
                       [](const EditSpec& edit) { return edit.needs_findings(); });
  });
}

std::vector<SiteEdit> build_edits(const VariantSpec& variant, const EditContext& context,
                                  const std::vector<Plan::Tokens>& sequences,
                                  const ModelConfig& config) {
  std::vector<SiteEdit> edits;
  std::vector<Chosen> chosen;
  for (const EditSpec& spec : variant.edits) {
    for (const Site site : spec.sites) {
      if (spec.action == Action::quantise) {
        edits.push_back({site, quantise_of(spec, site, context)});
        continue;
      }
      const auto selector = selector_of(spec, site, context);
      chosen.push_back({site, spec.where, selector});
      if (spec.action == Action::move) {
        edits.push_back({site, move_to_added(selector, strongest_of(config), context.prefix_rows)});
        continue;
      }
      edits.push_back(
          {site, edit_scalars(selector, change_of(spec, site, context), context.prefix_rows)});
    }
  }
  require_no_contradiction(chosen, sequences, config);
  return edits;
}

}  // namespace massact::edit
