#include <fmt/format.h>

#include <iterator>

#include "massact/report/explain_report.h"

namespace massact {
namespace {

std::string csv_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string cell(const std::optional<double>& value) {
  return value ? fmt::format("{}", *value) : "";
}

template <typename... Arguments>
void add(std::string& out, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Arguments>(arguments)...);
}

const BiasHead* bias_of(const ExplainResult& result, int layer, std::int64_t head) {
  for (const BiasLayer& bias : result.bias) {
    if (bias.layer == layer) return &bias.heads.at(static_cast<std::size_t>(head));
  }
  return nullptr;
}

std::string layers_csv(const ExplainResult& result) {
  std::string out =
      "layer,sink_percent,entropy,first1,first4,first8,massive_tokens,share,constant_share,"
      "slot_share\n";
  for (std::size_t i = 0; i < result.sinks.size(); ++i) {
    const SinkLayer& sink = result.sinks[i];
    const BiasLayer& bias = result.bias[i];
    add(out, "{},{},{},{},{},{},{},{},{},{}\n", sink.layer, sink.sink, cell(sink.entropy),
        sink.first[0], sink.first[1], sink.first[2], bias.massive_tokens, cell(bias.share),
        cell(bias.constant_share), cell(bias.slot_share));
  }
  return out;
}

// One line per layer, head and class of keys; the head's own figures on each.
std::string heads_csv(const ExplainResult& result) {
  std::string out =
      "layer,head,kv_head,class,keys,probability,logit,sink_percent,alpha0,entropy,first1,first4,"
      "first8,bias_share,bias_cosine,bias_variance,slot_share\n";
  for (const SinkLayer& layer : result.sinks) {
    for (const HeadSink& head : layer.heads) {
      const BiasHead* bias = bias_of(result, layer.layer, head.head);
      for (const ClassSink& sink : head.classes) {
        add(out, "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", layer.layer, head.head,
            head.kv_head, sink.group, sink.keys, sink.probability, cell(sink.logit), head.sink,
            head.alpha.empty() ? 0.0 : head.alpha.front(), cell(head.entropy), head.first[0],
            head.first[1], head.first[2], bias ? cell(bias->share) : "",
            bias ? cell(bias->cosine) : "", bias ? cell(bias->variance) : "",
            bias ? cell(bias->slot_share) : "");
      }
    }
  }
  return out;
}

std::string findings_csv(const ExplainResult& result) {
  std::string out = "finding,dimension,position_class,token,label,layer,value,attention,mlp\n";
  for (const ExplainFinding& f : result.findings) {
    for (const ExplainLayerValue& layer : f.layers) {
      add(out, "{},{},{},{},{},{},{},{},{}\n", f.number, f.finding.dimension,
          f.finding.position_class, csv_text(f.finding.token), name_of(f.finding.label),
          layer.layer, layer.value, layer.attention, layer.mlp);
    }
  }
  return out;
}

void add_terms(std::string& out, int finding, std::string_view what, const ExplainWrite& write) {
  const auto line = [&](std::string_view kind, std::string_view term, double contribution) {
    add(out, "{},{},{},{},{},{}\n", finding, what, write.layer, kind, term, contribution);
  };
  line("attention", "all", write.attention);
  line("mlp", "all", write.mlp);
  if (write.mlp_split) {
    for (const ExplainNeuron& neuron : write.mlp_split->top) {
      line("neuron", fmt::format("{}", neuron.neuron), neuron.contribution);
    }
    line("neuron", "rest", write.mlp_split->rest);
    line("neuron", "bias", write.mlp_split->bias);
  }
  if (!write.heads_split) return;
  for (const ExplainHead& head : write.heads_split->list) {
    line("head", fmt::format("{}", head.head), head.contribution);
    for (const ExplainSource& source : head.sources) {
      line("source", fmt::format("{}:{}", head.head, source.source), source.contribution);
    }
  }
  line("head", "bias", write.heads_split->bias);
}

std::string writes_csv(const ExplainResult& result) {
  std::string out = "finding,event,layer,kind,term,contribution\n";
  for (const ExplainFinding& f : result.findings) {
    if (f.birth) add_terms(out, f.number, "birth", *f.birth);
    if (f.death) add_terms(out, f.number, "death", *f.death);
  }
  return out;
}

std::string trajectory_csv(const ExplainResult& result) {
  std::string out = "layer,group,tokens,site,norm,top1,top4,top16,variance\n";
  for (const ExplainPath& path : result.trajectory) {
    for (const ExplainPoint& p : path.points) {
      add(out, "{},{},{},{},{},{},{},{},{}\n", path.layer, path.group, path.tokens, p.site, p.norm,
          p.top[0], p.top[1], p.top[2], cell(p.variance));
    }
  }
  return out;
}

}  // namespace

std::vector<ResultFile> explain_csv_files(const ExplainResult& result) {
  return {{"explain-layers.csv", layers_csv(result)},
          {"explain-heads.csv", heads_csv(result)},
          {"explain-findings.csv", findings_csv(result)},
          {"explain-writes.csv", writes_csv(result)},
          {"explain-trajectory.csv", trajectory_csv(result)}};
}

}  // namespace massact
