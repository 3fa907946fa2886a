#include "massact/study/run_facts.h"

namespace massact {

RunFacts run_facts(const Model& model, const RunReport& report) {
  RunFacts facts;
  facts.model = model.path().string();
  facts.family = model.config().family;
  facts.precision = ops::name_of(report.precision);
  facts.threads = report.threads;
  facts.layers = model.config().layers;
  facts.width = model.config().width;
  facts.tokens = report.tokens;
  facts.passes = report.memory.passes();
  facts.seconds = report.seconds;
  return facts;
}

}  // namespace massact
