#include "massact/report/scan_csv.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>
#include <string_view>

#include "massact/report/rule_name.h"

namespace massact {
namespace {

std::string csv_field(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

// The file of a sequence; nothing for texts.
std::string image_field(const ScanFacts& facts, std::int64_t sequence) {
  if (!facts.images) return "";
  return csv_field(facts.images->files.at(static_cast<std::size_t>(sequence)));
}

void add_findings(std::string& out, std::string_view set_name, const FindingSet& set,
                  const ScanFacts& facts) {
  for (const Finding& f : set.findings) {
    fmt::format_to(std::back_inserter(out),
                   "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
                   set_name, csv_field(rule_name(set)), name_of(f.label), f.dimension,
                   f.position_class, f.first_layer, f.last_layer, f.peak_layer, f.scalars, f.mean,
                   f.sigma, f.cv, f.max_abs, f.ratio, f.sequence_share, csv_field(f.token),
                   f.token_id, f.token_share, f.example.sequence, f.example.position,
                   f.example.value, csv_field(f.example.before), csv_field(f.example.after),
                   image_field(facts, f.example.sequence));
  }
}

}  // namespace

std::string scan_layers_csv(const ScanResult& result) {
  std::string out =
      "layer,top1,top2,top3,median,median_pooled,max_abs,max_over_median,mean_abs,kurtosis,"
      "excess_kurtosis,strict_count";
  for (const double level : kScanQuantiles) out += fmt::format(",q{}", level);
  out += '\n';
  for (const LayerRow& row : result.layers) {
    fmt::format_to(std::back_inserter(out), "{},{},{},{},{},{},{},{},{},{},{},{},{}\n", row.layer,
                   row.top[0], row.top[1], row.top[2], row.median, row.median_pooled, row.max_abs,
                   row.max_over_median, row.mean_abs, row.kurtosis, row.excess_kurtosis,
                   row.strict_count, fmt::join(row.quantiles, ","));
  }
  return out;
}

std::string scan_findings_csv(const ScanResult& result) {
  std::string out =
      "set,rule,label,dimension,position_class,first_layer,last_layer,peak_layer,scalars,mean,"
      "sigma,cv,max_abs,ratio,sequence_share,token,token_id,token_share,example_sequence,"
      "example_position,example_value,example_before,example_after,example_image\n";
  add_findings(out, "findings", result.findings, result.facts);
  if (result.automatic) add_findings(out, "automatic", *result.automatic, result.facts);
  if (result.candidates) add_findings(out, "candidates", *result.candidates, result.facts);
  return out;
}

std::string scan_top_csv(const ScanResult& result) {
  std::string out =
      "layer,rank,value,sequence,position,dimension,token_id,token,position_class,ratio,image\n";
  for (const LayerRow& row : result.layers) {
    int rank = 0;
    for (const TopValue& top : row.largest) {
      fmt::format_to(std::back_inserter(out), "{},{},{},{},{},{},{},{},{},{},{}\n", row.layer,
                     ++rank, top.value, top.sequence, top.position, top.dimension, top.token_id,
                     csv_field(top.token), top.position_class, top.ratio,
                     image_field(result.facts, top.sequence));
    }
  }
  return out;
}

}  // namespace massact
