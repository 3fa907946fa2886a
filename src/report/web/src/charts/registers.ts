// Patches far longer than all others, by layer, and what becomes of them and of the model's answers
// when the neurons that write them are moved to an added token.
import { logAxis, legend, upright, valueAxis } from "../axes";
import { Chart } from "../chart";
import type { Estimate, ModelData, OutlierVariant, Registers, TestTime, Variant } from "../data";
import { append, el, tip } from "../dom";
import { exact, number, percent, plural } from "../format";
import { kSymbols } from "../theme";

const kNamedNeurons = 10;

interface Curve {
  name: string;
  of: (layer: TestTime["layers"][number]) => number;
}

const kCurves: Curve[] = [
  { name: "longest patch", of: (layer) => layer.largest_norm },
  { name: "median patch", of: (layer) => layer.median_norm },
];

function layersChart(model: ModelData, index: number, study: TestTime): Chart {
  return new Chart({
    id: `outliers-${index}`,
    title: `${model.label}: length of patches`,
    note: `Behind every layer, averaged over ${plural(study.calibration_images, "calibration image")}. Outliers are looked for behind layer ${study.outlier_layer}.`,
    height: 300,
    option: (theme) => ({
      grid: { left: 8, right: 16, bottom: 28, containLabel: true },
      legend: legend(theme),
      xAxis: valueAxis(theme, "layer", { nameGap: 26, min: "dataMin", max: "dataMax", minInterval: 1, splitLine: { show: false } }),
      yAxis: upright(theme, logAxis(theme, "length (Euclidean norm)")),
      tooltip: {
        trigger: "axis",
        formatter: (points: { value: [number, number]; seriesName: string }[]) =>
          tip(`layer ${points[0]!.value[0]}`, points.map((p) => [p.seriesName, exact(p.value[1])])),
      },
      series: kCurves.map((curve, i) => ({
        type: "line",
        name: curve.name,
        symbol: kSymbols[i],
        symbolSize: 7,
        lineStyle: { type: i === 0 ? "solid" : "dashed" },
        data: study.layers.filter((layer) => curve.of(layer) > 0).map((layer) => [layer.layer, curve.of(layer)]),
        ...(i === 0
          ? { markLine: { symbol: "none", precision: -1, silent: true, label: { show: false }, lineStyle: { color: theme.muted, type: "dashed" }, data: [{ xAxis: study.outlier_layer }] } }
          : {}),
      })),
    }),
    table: () => ({
      columns: ["layer", "median", "largest", "outliers_per_image", "kept"],
      rows: study.layers.map((layer) => [layer.layer, layer.median_norm, layer.largest_norm, layer.outliers, layer.kept]),
    }),
  });
}

interface Row {
  answers: Variant;
  patches: OutlierVariant | undefined;
}

interface Column {
  name: string;
  text: (row: Row) => string;
}

const kNothing = "–";

// The error to two digits: more of it says nothing.
function estimate(value: Estimate | null | undefined, scale = 1, unit = ""): string {
  if (!value) return kNothing;
  const error = value.error === null ? "" : ` ± ${number(Number((scale * value.error).toPrecision(2)))}`;
  return `${number(scale * value.value)}${error}${unit}`;
}

function share(value: number): string {
  return value > 0 && value < 1e-3 ? "< 0.1 %" : percent(value);
}

function patchColumns(study: TestTime): Column[] {
  const from = study.queries === "cls" ? "class token's attention to outliers" : "attention to outliers";
  const attention = (of: (a: NonNullable<OutlierVariant["attention"]>) => Estimate) => (row: Row) =>
    row.patches?.attention ? share(of(row.patches.attention).value) : kNothing;
  return [
    { name: "outliers per image", text: (row) => estimate(row.patches?.outliers) },
    { name: "longest patch", text: (row) => estimate(row.patches?.largest_norm) },
    { name: "added token", text: (row) => (row.patches && row.patches.added_norm.value > 0 ? number(row.patches.added_norm.value) : kNothing) },
    { name: from, text: attention((a) => a.outliers) },
    { name: "… to the top patch", text: attention((a) => a.largest_patch) },
    { name: "… to the added token", text: attention((a) => a.added) },
  ];
}

const kAnswers: Column[] = [
  { name: "top-1", text: ({ answers }) => estimate(answers.measures.images?.top1, 100, " %") },
  { name: "change in points", text: ({ answers }) => estimate(answers.measures.images?.top1_change, 100) },
  { name: "mean KL", text: ({ answers }) => estimate(answers.measures.divergence?.mean_kl) },
  { name: "top-1 kept", text: ({ answers }) => (answers.measures.divergence ? share(answers.measures.divergence.top1_agreement.value) : kNothing) },
  { name: "cosine of features", text: ({ answers }) => estimate(answers.measures.images?.feature_cosine) },
];

// A line per variant; columns that none has anything in are left out.
function variantsTable(result: Registers, kind: string, columns: Column[]): HTMLElement {
  const rows: Row[] = result.variants.map((answers) => ({ answers, patches: result.test_time?.variants.find((variant) => variant.name === answers.name) }));
  const shown = columns.filter((column) => rows.some((row) => column.text(row) !== kNothing));
  const head = el("tr", {}, el("th", { scope: "col" }, "variant"), ...shown.map((column) => el("th", { scope: "col" }, column.name)));
  const body = el("tbody");
  for (const row of rows) {
    const cells = shown.map((column) => el("td", { class: "number" }, column.text(row)));
    body.append(el("tr", {}, el("th", { scope: "row", title: row.answers.description }, row.answers.name), ...cells));
  }
  return el("div", { class: "scroll", tabindex: 0 }, el("table", { class: `registers ${kind}` }, el("thead", {}, head), body));
}

function outlierRule(study: TestTime): string {
  return study.rule.norm !== null ? `of at least length ${number(study.rule.norm)}` : `at least ${number(study.rule.ratio)} × as long as their image's median patch`;
}

function verdict(study: TestTime): string {
  if (study.neurons.length === 0) return `No patch of the calibration images is ${outlierRule(study)}: there is nothing to move.`;
  const named = study.neurons.slice(0, kNamedNeurons).map((n) => `layer ${n.layer}, ${n.neuron}`).join("; ");
  const rest = study.neurons.length > kNamedNeurons ? `; and ${study.neurons.length - kNamedNeurons} more` : "";
  const outliers = (name: string) => estimate(study.variants.find((variant) => variant.name === name)?.outliers);
  return (
    `Outliers are patches ${outlierRule(study)}: ${outliers("original")} per image behind layer ${study.outlier_layer}. ` +
    `With ${plural(study.neurons.length, "neuron")} of layers 1 to ${study.last_layer} moved to an added token: ${outliers("test-time registers")}. ` +
    `Moved (layer, neuron): ${named}${rest}.`
  );
}

function modelPart(model: ModelData, index: number): HTMLElement[] {
  const result = model.registers!;
  const study = result.test_time;
  const split = el("p", { class: "note" }, `Calibration: ${result.split.calibration}; evaluation: ${result.split.evaluation}.`);
  const answers = [el("h4", {}, "What the model answers"), variantsTable(result, "answers", kAnswers), split];
  if (!study) return [el("h3", {}, model.label), ...answers];
  return [
    el("h3", {}, model.label),
    el("p", { class: "verdict" }, verdict(study)),
    layersChart(model, index, study).figure,
    el("h4", {}, `Patches behind layer ${study.outlier_layer}, and attention in the layers after ${study.last_layer}`),
    variantsTable(result, "patches", patchColumns(study)),
    ...answers,
  ];
}

export function registersSection(all: ModelData[]): HTMLElement | null {
  const models = all.filter((model) => model.registers);
  if (models.length === 0) return null;
  const section = el("section", { id: "registers" }, el("h2", {}, "Registers"));
  append(
    section,
    el(
      "p",
      {},
      "A model without registers keeps what it does not want to forget in a few patches. Test-time registers move the neurons that write them to a token that nobody trained; " +
        "the controls are that token alone, the same neurons zeroed without it, and as many other neurons moved. Of a model with registers: what remains when they are fixed.",
    ),
  );
  for (const model of models) section.append(...modelPart(model, all.indexOf(model)));
  return section;
}
