// `massact trace`: the raw values of sites, for Python.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "massact/base/error.h"
#include "massact/base/units.h"
#include "massact/cli/commands.h"
#include "massact/cli/flags.h"
#include "massact/cli/parse.h"
#include "massact/io/json_text.h"
#include "massact/observe/dump.h"
#include "massact/report/model_hash.h"
#include "massact/report/version.h"
#include "massact/study/image_facts.h"

namespace massact {
namespace {

constexpr const char* kExamples = R"(
Examples:
  massact trace gpt2 --site blocks.3.hook_resid_post --out h.safetensors
  massact trace gpt2 --site resid_post --layers 1-4 --sequences 8 --seq-len 256 --out h.safetensors
  massact trace dinov2-base --images cat.jpg --site resid_post --layers 12 --out v.safetensors
  massact trace gpt2 --site hook_logits --site attn.hook_pattern --layers 5 --out a.safetensors

In Python: h = safetensors.torch.load_file("h.safetensors")["blocks.3.hook_resid_post"])";

struct TraceFlags {
  ModelFlags model;
  TextFlags text;
  ImageFlags images;
  RunFlags run;
  OutputFlags output;
  std::vector<std::string> sites;
  std::string layers;
};

void add_site(std::vector<Site>& sites, Site site, const ModelConfig& config) {
  const std::string absent = absence(site, config);
  if (!absent.empty()) fail_usage("--site", "{}: {}", name_of(site), absent);
  if (std::count(sites.begin(), sites.end(), site) == 0) sites.push_back(site);
}

// A full name stands for itself; a short one for that site in every block of --layers.
std::vector<Site> chosen_sites(const TraceFlags& flags, const ModelConfig& config) {
  const auto last = static_cast<int>(config.layers);
  std::vector<int> layers =
      parse_layers(flags.layers.empty() ? "all" : flags.layers, last, "--layers");
  if (layers.empty()) {
    for (int layer = 1; layer <= last; ++layer) layers.push_back(layer);
  }
  std::vector<Site> sites;
  bool layers_used = false;
  for (const std::string& name : flags.sites) {
    if (name.starts_with("blocks.")) {
      add_site(sites, parse_site(name, config), config);
      continue;
    }
    const SiteKind kind = parse_site_kind(name);
    if (!is_block_site(kind)) {
      add_site(sites, {kind, -1}, config);
      continue;
    }
    layers_used = true;
    for (const int layer : layers) {
      if (layer == 0) {
        fail_usage("--layers", "expected layers from 1 for {} (layer 0 is hook_embed)", name);
      }
      add_site(sites, {kind, layer - 1}, config);
    }
  }
  if (!flags.layers.empty() && !layers_used) {
    fail_usage("--layers",
               "expected a short site name beside it such as resid_post: a full name "
               "has its block in it");
  }
  return sites;
}

// What a reader of the file needs to know about the run.
std::map<std::string, std::string> metadata(const TraceFlags& flags, const Model& model) {
  const auto precision = effective_precision(model, flags.run.options().precision);
  return {{"massact_version", std::string(version())},
          {"model", flags.model.model},
          {"model_hash", hash_of(model)},
          {"precision", std::string(ops::name_of(precision))}};
}

// The plan, and what was read: token ids or image files, as a JSON list by sequence.
Plan plan_of(const TraceFlags& flags, const Model& model,
             std::map<std::string, std::string>& facts) {
  if (reads_images(model, flags.text, flags.images)) {
    const auto images = flags.images.read(model, flags.run.threads);
    facts["images"] = json_text(nlohmann::json(image_facts(model.config(), *images).files));
    return Plan(model, images);
  }
  const Corpus corpus = flags.text.read(model);
  std::vector<Plan::Tokens> sequences;
  for (const Sequence& sequence : corpus.sequences()) sequences.push_back(sequence.tokens);
  facts["bos"] = corpus.adds_bos() ? "yes" : "no";
  facts["tokens"] = json_text(nlohmann::json(sequences));
  return Plan(model, std::move(sequences));
}

// After everything that can be wrong with the flags has shown.
void make_parents(const std::filesystem::path& file) {
  if (!file.has_parent_path()) return;
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  require(!error, file.string(), "expected to create its directory, got: {}", error.message());
}

void trace(const TraceFlags& flags) {
  const Model model = flags.model.open();
  const std::vector<Site> sites = chosen_sites(flags, model.config());
  std::map<std::string, std::string> facts = metadata(flags, model);
  Plan plan = plan_of(flags, model, facts);
  make_parents(flags.output.out);
  observe::Dump& dump = plan.observe(
      sites, observe::Dump(flags.output.out, sites, model.config(), plan.lengths(), facts));
  const std::unique_ptr<Progress> progress = flags.output.progress();
  const RunReport report = run(plan, flags.run.options(), *progress);
  dump.commit();
  if (!flags.output.quiet) {
    fmt::print(stderr, "{}: {} {} of {} sequences, {}\n", flags.output.out, sites.size(),
               sites.size() == 1 ? "site" : "sites", report.sequences,
               format_bytes(std::filesystem::file_size(flags.output.out)));
    for (const std::string& note : report.notes) fmt::print(stderr, "note: {}\n", note);
  }
}

}  // namespace

void add_trace(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("trace", "Write the raw values of sites to a safetensors file");
  auto flags = std::make_shared<TraceFlags>();
  flags->model.declare(*command);
  command
      ->add_option("--site", flags->sites,
                   "Full names (blocks.3.attn.hook_q, hook_logits), or short ones with --layers")
      ->required();
  command->add_option("--layers", flags->layers,
                      "For short site names: layers such as 1,4-6, counted from 1 (default: all)");
  command->add_option("--out", flags->output.out, "The .safetensors file to write")->required();
  flags->text.declare(*command);
  flags->images.declare(*command);
  flags->run.declare(*command);
  flags->output.declare_quiet(*command);
  command->footer(kExamples);
  command->callback([flags, &action] { action = [flags] { trace(*flags); }; });
}

}  // namespace massact
