// The verdict in words, and the models side by side.
import { bestSet, hasMassive, type ModelData, type Report, type Scan } from "../data";
import { append, el } from "../dom";
import { classInWords, layerRange, number, percent, plural, quoted } from "../format";

const kNamed = 3;

// The layer at which a sequence's largest value is the most medians, on average.
function steepest(scan: Scan): Scan["layers"][number] {
  return scan.layers.reduce((best, row) => (row.max_over_median > best.max_over_median ? row : best));
}

function scanVerdict(scan: Scan): string {
  const set = bestSet(scan);
  const top = steepest(scan);
  const largest = top.largest[0];
  const of = scan.run?.images ? "an image" : "a sequence";
  const times = largest && largest.ratio !== null ? `, ${number(largest.ratio)} × its median` : "";
  const where = largest ? `; the largest of all there is ${number(Math.abs(largest.value))}${times} (dimension ${largest.dimension}, token ${quoted(largest.token)})` : "";
  const peak = `The largest |h| of ${of} is on average ${number(top.max_over_median)} × its median at layer ${top.layer}${where}.`;
  if (!hasMassive(scan)) return `No massive activation was found. ${peak}`;
  const massive = set.findings.filter((finding) => finding.label === "massive");
  const named = massive
    .slice(0, kNamed)
    .map((f) => `dimension ${f.dimension} at the ${classInWords(f.position_class)} token ${quoted(f.token)} (${number(f.mean)}, ${layerRange(f.first_layer, f.last_layer)})`);
  const rest = massive.length > kNamed ? ` and ${massive.length - kNamed} more` : "";
  return `Massive activations, by the rule ${set.rule}: ${named.join("; ")}${rest}. ${peak}`;
}

function explainVerdict(model: ModelData): string | null {
  const explain = model.explain;
  if (!explain) return null;
  const first = explain.sinks.metric.find((entry) => entry.k === 0);
  const shares = explain.bias.flatMap((row) => (row.constant_share === null ? [] : [{ layer: row.layer, share: row.constant_share }]));
  const most = shares.length > 0 ? shares.reduce((a, b) => (b.share > a.share ? b : a)) : null;
  const sink = first ? `In ${number(first.percent)} % of the heads the first token takes more than ${explain.sinks.epsilon} of the attention.` : "";
  const tokens = explain.found.label === "massive" ? "massive tokens" : "tokens with the largest values";
  const bias = most ? ` At layer ${most.layer}, ${number(100 * most.share)} % of the attention output is a constant that comes from the ${tokens}.` : "";
  return `${sink}${bias}`.trim() || null;
}

function verdict(model: ModelData): HTMLElement {
  const lines = [
    model.scan ? scanVerdict(model.scan) : null,
    model.ablate?.verdicts[0] ?? null,
    explainVerdict(model),
  ].filter((line): line is string => line !== null);
  const block = el("div", { class: "card" }, el("h3", {}, model.label));
  for (const line of lines) block.append(el("p", {}, line));
  if (lines.length === 0) block.append(el("p", {}, "There are no results to report on."));
  for (const gap of model.missing) {
    const kind = gap.failed_step ? "warning" : "note";
    block.append(el("p", { class: kind }, `${gap.failed_step ? "Failed" : "Not in this report"}: ${gap.part} (${gap.why}). ${gap.how}`));
  }
  return block;
}

type Fact = [string, (model: ModelData) => string];

function variantPerplexity(model: ModelData, kind: string): string {
  const value = model.ablate?.variants.find((variant) => variant.kind === kind)?.measures.perplexities[0]?.perplexity;
  return value ? number(value.value) : "–";
}

function variantTop1(model: ModelData, kind: string): string {
  const value = model.ablate?.variants.find((variant) => variant.kind === kind)?.measures.images?.top1;
  return value ? percent(value.value) : "–";
}

const kFacts: Fact[] = [
  ["family", (m) => facts(m)?.family ?? "–"],
  ["layers × width", (m) => (facts(m) ? `${facts(m)!.layers} × ${facts(m)!.width}` : "–")],
  ["massive findings", (m) => (m.scan ? String(bestSet(m.scan).findings.filter((f) => f.label === "massive").length) : "–")],
  ["largest |h|", (m) => (m.scan ? number(Math.max(...m.scan.layers.map((row) => row.max_abs))) : "–")],
  ["largest / median, averaged", (m) => (m.scan ? number(steepest(m.scan).max_over_median) : "–")],
  ["… at layer", (m) => (m.scan ? String(steepest(m.scan).layer) : "–")],
  ["perplexity", (m) => variantPerplexity(m, "original")],
  ["… with them zeroed", (m) => variantPerplexity(m, "zero")],
  ["… set to their mean", (m) => variantPerplexity(m, "mean")],
  ["top-1", (m) => variantTop1(m, "original")],
  ["… with them zeroed", (m) => variantTop1(m, "zero")],
  ["… set to their mean", (m) => variantTop1(m, "mean")],
  ["heads with a sink", (m) => (m.explain?.sinks.metric[0] ? `${number(m.explain.sinks.metric[0].percent)} %` : "–")],
];

function facts(model: ModelData) {
  return (model.scan ?? model.ablate ?? model.explain)?.model ?? null;
}

function comparison(models: ModelData[]): HTMLElement {
  const head = el("tr", {}, el("th", { scope: "col" }, ""), ...models.map((model) => el("th", { scope: "col" }, model.label)));
  const body = el("tbody");
  for (const [name, of] of kFacts) {
    const shown = models.map(of);
    if (shown.every((text) => text === "–")) continue;
    body.append(el("tr", {}, el("th", { scope: "row" }, name), ...shown.map((text) => el("td", { class: "number" }, text))));
  }
  return el("div", { class: "scroll", tabindex: 0 }, el("table", { id: "comparison" }, el("thead", {}, head), body));
}

export function summarySection(report: Report): HTMLElement {
  const section = el("section", { id: "summary" }, el("h2", {}, "Summary"));
  append(section, el("div", { class: "side-by-side" }, ...report.models.map(verdict)));
  if (report.models.length > 1) append(section, el("h3", {}, plural(report.models.length, "model") + " compared"), comparison(report.models));
  for (const note of report.notes) section.append(el("p", { class: "note" }, note));
  return section;
}
