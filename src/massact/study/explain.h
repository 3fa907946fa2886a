// From one huge scalar to the attention bias that it becomes: who writes it, what the norm makes of
// its token, where attention goes, how much of attention's output is a constant, and whether that
// constant is all there is to it. Every step is checked by an exact sum.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "massact/eval/perplexity.h"
#include "massact/observe/position_groups.h"
#include "massact/study/scan.h"

namespace massact {

struct MapRequest {
  int layer = 1;  ///< counts from 1: the block that writes this layer
  std::int64_t head = 0;
};

struct ExplainOptions {
  RunOptions run = {};
  Rule rule = {};
  PositionLists classes = PositionLists::defaults();
  int finding = 0;               ///< explain the N-th finding only, from 1; 0: all
  std::int64_t traced = 4;       ///< scalars of a finding that are followed through the layers
  double epsilon = 0.3;          ///< of the sink metric
  std::int64_t sink_length = 0;  ///< its T; 0: 64, of images all tokens
  double spike = 50.0;           ///< super weights: beyond it
  /// Sequences kept for the test of the constant; -1: one in 16, or the beginning of one; 0: none.
  std::int64_t replace = -1;
  std::vector<MapRequest> maps = {};
  std::int64_t map_sequence = 0;
};

/// An input of a gate or up projection; contribution = value · weight.
struct ExplainInput {
  std::int64_t dimension = 0;
  double value = 0.0, weight = 0.0;
};

struct ExplainNeuron {
  std::int64_t neuron = 0;
  double contribution = 0.0;  ///< mean over the traced scalars
  double share = 0.0;         ///< of the MLP's write
  double value = 0.0, weight = 0.0, gate = 0.0;
  std::optional<double> up;                          ///< none: not gated
  std::vector<ExplainInput> gate_inputs, up_inputs;  ///< at the first traced scalar
};

/// mlp = Σ top + rest + bias.
struct ExplainMlp {
  double bias = 0.0, rest = 0.0, closure = 0.0;
  std::vector<ExplainNeuron> top;
};

struct ExplainSource {
  std::string source;   ///< a position class or "slot"
  double tokens = 0.0;  ///< per traced scalar
  double contribution = 0.0, share = 0.0;
};

struct ExplainTopSource {
  std::int64_t position = 0;
  std::string token, position_class;
  double contribution = 0.0;
};

struct ExplainHead {
  std::int64_t head = 0, kv_head = 0;
  double contribution = 0.0, share = 0.0;
  std::vector<ExplainSource> sources;
  std::vector<ExplainTopSource> top_sources;  ///< of the first traced scalar
};

/// attention = Σ heads + bias.
struct ExplainHeads {
  double bias = 0.0, closure = 0.0, source_closure = 0.0;
  std::vector<ExplainHead> list;  ///< largest |contribution| first
};

/// One block's write to a finding's scalar: after = before + attention + mlp, means over the traced
/// scalars.
struct ExplainWrite {
  int layer = 0;
  double before = 0.0, after = 0.0, attention = 0.0, mlp = 0.0, closure = 0.0;
  std::optional<ExplainMlp> mlp_split;
  std::optional<ExplainHeads> heads_split;
  std::string mlp_reason, heads_reason;  ///< why a split is missing
};

struct ExplainLayerValue {
  int layer = 0;
  double value = 0.0, attention = 0.0, mlp = 0.0;
};

struct ExplainTraced {
  std::int64_t sequence = 0, position = 0;
  std::string token;
  double value = 0.0;  ///< at the peak layer
};

struct ExplainFinding {
  int number = 1;
  Finding finding;
  std::vector<ExplainTraced> traced;
  std::vector<ExplainLayerValue> layers;  ///< from layer 0
  double closure = 0.0;
  std::optional<ExplainWrite> birth, death;
};

struct SuperWeight {
  int layer = 0;
  std::string weight;  ///< canonical name
  std::int64_t row = 0, column = 0;
  double value = 0.0, input = 0.0, output = 0.0;
  bool spike = false;
  std::int64_t input_sequence = 0, input_position = 0, output_sequence = 0, output_position = 0;
};

/// A row of the gate and up projections whose neuron writes findings.
struct MassiveWeight {
  int layer = 0;
  std::int64_t neuron = 0;
  std::vector<std::string> weights;
  double value = 0.0, share = 0.0;
  std::vector<int> findings;
};

struct ExplainPoint {
  std::string site;
  double norm = 0.0;
  std::array<double, 3> top{};
  std::optional<double> variance;
};

struct ExplainPath {
  int layer = 0;
  std::string group;
  std::int64_t tokens = 0;
  std::vector<ExplainPoint> points;
};

struct ClassSink {
  std::string group;
  double keys = 0.0, probability = 0.0;
  std::optional<double> logit;
};

struct HeadSink {
  std::int64_t head = 0, kv_head = 0;
  std::optional<double> entropy;
  std::array<double, 3> first{};
  std::vector<double> alpha;
  double sink = 0.0;  ///< percent of sequences
  std::vector<ClassSink> classes;
};

struct SinkLayer {
  int layer = 0;
  double sink = 0.0;
  std::optional<double> entropy;
  std::array<double, 3> first{};
  std::vector<ClassSink> classes;
  std::vector<HeadSink> heads;
};

struct SinkSummary {
  double sink = 0.0, massive_class_probability = 0.0;
  std::optional<double> entropy;
};

struct BiasHead {
  std::int64_t head = 0, kv_head = 0, queries = 0;
  std::optional<double> share, cosine, variance, slot_share;
  double closure = 0.0;
};

struct BiasLayer {
  int layer = 0;
  double massive_tokens = 0.0;
  std::optional<double> constant_share, share, slot_share;
  std::vector<BiasHead> heads;
};

struct ReplacementVariant {
  std::string name, description;
  eval::Perplexity perplexity;
  std::optional<eval::Estimate> loss_change;
  std::optional<eval::Divergence> divergence;
};

struct Replacement {
  std::int64_t calibration_sequences = 0, evaluation_sequences = 0, seq_len = 0;
  std::vector<int> layers;
  std::vector<ReplacementVariant> variants;
};

struct AttentionMap {
  int layer = 0;
  std::optional<std::int64_t> head;  ///< none: mean over heads
  std::int64_t sequence = 0, queries = 0, columns = 0;
  bool slot = false;
  std::vector<float> logits, probabilities;  ///< [queries, columns]
};

struct ExplainResult {
  ScanFacts facts;
  ModelConfig config;
  std::int64_t extra_passes = 0;
  Rule asked_rule;
  FindingSet found;  ///< by the rule that found something
  std::optional<Label> label;
  double massive_tokens = 0.0;
  std::vector<ExplainFinding> findings;
  double spike = 0.0;
  std::vector<SuperWeight> super_weights;
  std::vector<MassiveWeight> massive_weights;
  std::vector<ExplainPath> trajectory;
  double epsilon = 0.0;
  std::int64_t sink_length = 0;
  std::vector<double> sink_metric;  ///< percent, by k
  std::optional<int> appearance;    ///< the layer of `before` and `after`
  std::optional<SinkSummary> before, after;
  std::vector<SinkLayer> sinks;
  std::vector<BiasLayer> bias;
  std::optional<Replacement> replacement;
  std::vector<AttentionMap> maps;
  std::vector<std::string> warnings;
};

/// Scans, follows and sums up. Throws Error for what a run can meet, UsageError for a finding,
/// layer or head that is not there.
ExplainResult run_explain(const Model& model, const Corpus& corpus, const ExplainOptions& options,
                          Progress& progress);
/// The same for a model that reads images. Step 5 needs predicted tokens: it is left out.
ExplainResult run_explain(const Model& model, std::shared_ptr<const ImageFiles> images,
                          const ExplainOptions& options, Progress& progress);

}  // namespace massact
