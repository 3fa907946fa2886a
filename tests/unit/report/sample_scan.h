// A small scan result with everything in it that reports have to show.
#pragma once

#include "massact/study/scan.h"

namespace massact::testing {

inline TopValue sample_top(float value, double ratio) {
  TopValue top;
  top.value = value;
  top.sequence = 1;
  top.position = 0;
  top.dimension = 447;
  top.token_id = 1;
  top.token = "<s>";
  top.position_class = "start";
  top.ratio = ratio;
  return top;
}

inline LayerRow sample_layer(int layer, double top, double median, std::int64_t strict_count) {
  LayerRow row;
  row.layer = layer;
  row.top = {top, top / 2, top / 3};
  row.median = row.median_pooled = median;
  row.quantiles.assign(kScanQuantiles.size(), median);
  row.quantiles_pooled = row.quantiles;
  row.max_abs = top;
  row.max_over_median = top / median;
  row.mean_abs = median * 1.25;
  row.kurtosis = 12.5;
  row.excess_kurtosis = 9.5;
  row.strict_count = strict_count;
  row.largest = {sample_top(static_cast<float>(-top), top / median)};
  row.sequences = {{0, row.top, median}, {1, row.top, median}};
  return row;
}

inline Finding sample_finding() {
  Finding finding;
  finding.dimension = 447;
  finding.position_class = "first_delimiter";
  finding.first_layer = 2;
  finding.last_layer = 3;
  finding.peak_layer = 3;
  finding.layers = {{2, 2, 2, -1500, 10, 0.0067, 1510, 5000},
                    {3, 2, 2, -2480, 12, 0.0048, 2500, 6200}};
  finding.scalars = 2;
  finding.mean = -2480;
  finding.sigma = 12;
  finding.cv = 0.0048;
  finding.max_abs = 2500;
  finding.ratio = 6200;
  finding.sequence_share = 1;
  finding.token = ",\n\"é";
  finding.token_id = 11;
  finding.token_share = 1;
  finding.example = {
      1, 7, 11, ",\n\"é", "Once upon a time there was a naïve", " who said \"no\"", -2500};
  finding.values = {{0, 7, -2460}, {1, 7, -2500}};
  return finding;
}

inline ScanFacts sample_facts() {
  ScanFacts facts;
  facts.model = "models/sample";
  facts.family = "llama";
  facts.text = "book.txt";
  facts.bos = true;
  facts.precision = "f32";
  facts.threads = 2;
  facts.layers = 3;
  facts.width = 512;
  facts.seq_len = 128;
  facts.sequences = 2;
  facts.tokens = 256;
  facts.passes = 1;
  facts.seconds = 1.5;
  return facts;
}

/// Three layers, one finding at the last two.
inline ScanResult sample_scan() {
  ScanResult result;
  result.facts = sample_facts();
  result.layers = {sample_layer(0, 0.5, 0.01, 0), sample_layer(1, 12, 0.1, 0),
                   sample_layer(2, 1510, 0.3, 2), sample_layer(3, 2500, 0.4, 2)};
  result.findings.findings = {sample_finding()};
  result.outlier_features = {{447, 0.5, 0.1, true}, {12, 0.25, 0.07, false}};
  result.warnings = {"something to know"};
  return result;
}

/// As `sample_scan`, but nothing meets the rule.
inline ScanResult sample_empty_scan() {
  ScanResult result = sample_scan();
  result.layers.resize(2);
  result.findings.findings.clear();
  result.outlier_features.clear();
  FindingSet automatic;
  automatic.rule = Rule::automatic();
  automatic.gaps = {{1, 1, 1.2, 12, 120, -0.5}};
  result.automatic = automatic;
  FindingSet candidates;
  candidates.findings = {sample_finding()};
  candidates.findings[0].label = Label::not_massive;
  result.candidates = candidates;
  return result;
}

}  // namespace massact::testing
