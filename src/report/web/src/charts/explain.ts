// From `massact explain`: who writes the finding, where attention goes, what share of it is a
// constant (the paper's Eq. 2).
import { categoryAxis, legend, upright, valueAxis } from "../axes";
import { Chart } from "../chart";
import type { Explain, ModelData } from "../data";
import { append, charted, el, select, tip } from "../dom";
import { classInWords, exact, number, quoted } from "../format";
import { kSymbols } from "../theme";
import { heatOption } from "./heat";

function writesChart(model: ModelData, index: number): Chart {
  const findings = model.explain!.findings;
  const state = { finding: 0 };
  const layers = () => findings[state.finding]!.layers;
  const names = findings.map((f) => `dimension ${f.dimension} at ${classInWords(f.position_class)} ${quoted(f.token)}`);
  const chart = new Chart({
    id: `writes-${index}`,
    title: `${model.label}: who writes it`,
    savedTitle: () => `${model.label}: who writes ${names[state.finding]!}`,
    option: (theme) => ({
      grid: { left: 8, right: 16, bottom: 28, containLabel: true },
      legend: legend(theme),
      xAxis: categoryAxis(theme, "layer", layers().map((l) => String(l.layer)), { nameGap: 26 }),
      yAxis: upright(theme, valueAxis(theme, "h of the scalar, and what is added")),
      tooltip: {
        trigger: "axis",
        formatter: (points: { value: number; dataIndex: number; seriesName: string }[]) =>
          tip(`layer ${layers()[points[0]!.dataIndex]!.layer}`, points.map((p) => [p.seriesName, exact(p.value)])),
      },
      series: [
        { type: "bar", stack: "writes", name: "attention adds", data: layers().map((l) => l.attention) },
        { type: "bar", stack: "writes", name: "MLP adds", data: layers().map((l) => l.mlp) },
        { type: "line", name: "value", symbol: kSymbols[3], symbolSize: 7, data: layers().map((l) => l.value) },
      ],
    }),
    table: () => ({
      columns: ["finding", "layer", "value", "attention", "mlp"],
      rows: findings.flatMap((f) => f.layers.map((l) => [f.finding, l.layer, l.value, l.attention, l.mlp])),
    }),
  });
  const choice = select("Finding", names, (i) => {
    state.finding = i;
    chart.refresh();
  });
  chart.figure.insertBefore(choice, chart.figure.children[1] ?? null);
  return chart;
}

// What a head gives to each class of tokens, and to single keys.
function sinkQuantities(explain: Explain): string[] {
  const classes = new Set(explain.sinks.layers.flatMap((layer) => layer.classes.map((c) => c.class)));
  return [...classes];
}

function sinkChart(model: ModelData, index: number): Chart {
  const explain = model.explain!;
  const quantities = sinkQuantities(explain);
  const preferred = ["massive", "start"].map((name) => quantities.indexOf(name)).find((i) => i >= 0) ?? 0;
  const state = { quantity: preferred };
  const layers = explain.sinks.layers;
  const heads = [...new Set(layers.flatMap((layer) => layer.heads.map((head) => head.head)))].sort((a, b) => a - b);
  const value = (layer: (typeof layers)[number], head: number, name: string) =>
    layer.heads.find((one) => one.head === head)?.classes.find((c) => c.class === name)?.probability ?? null;
  const chart = new Chart({
    id: `sinks-${index}`,
    title: `${model.label}: attention sinks`,
    savedTitle: () => `${model.label}: attention probability for ${classInWords(quantities[state.quantity]!)} tokens`,
    option: (theme) =>
      heatOption(theme, {
        columns: layers.map((layer) => String(layer.layer)),
        rows: heads.map(String),
        columnName: "layer",
        rowName: "head",
        valueName: `probability for ${classInWords(quantities[state.quantity]!)}:`,
        values: heads.map((head) => layers.map((layer) => value(layer, head, quantities[state.quantity]!))),
        min: 0,
        max: 1,
      }),
    table: () => ({
      columns: ["layer", "head", "class", "probability"],
      rows: layers.flatMap((layer) => layer.heads.flatMap((h) => h.classes.map((c) => [layer.layer, h.head, c.class, c.probability]))),
    }),
  });
  const choice = select(
    "Attention to",
    quantities.map(classInWords),
    (i) => {
      state.quantity = i;
      chart.refresh();
    },
    preferred,
  );
  chart.figure.insertBefore(choice, chart.figure.children[1] ?? null);
  return chart;
}

function biasChart(model: ModelData, index: number): Chart {
  const bias = model.explain!.bias;
  const curves: [string, (row: (typeof bias)[number]) => number | null][] = [
    ["share of the massive tokens' term", (row) => row.share],
    ["constant part of the output", (row) => row.constant_share],
    ["share of the slot (k′, v′)", (row) => row.slot_share],
  ];
  const present = curves.filter(([, of]) => bias.some((row) => of(row) !== null));
  return new Chart({
    id: `bias-${index}`,
    title: `${model.label}: the implicit bias (Eq. 2)`,
    option: (theme) => ({
      grid: { left: 8, right: 16, bottom: 28, containLabel: true },
      legend: legend(theme),
      xAxis: valueAxis(theme, "layer", { nameGap: 26, min: "dataMin", max: "dataMax", minInterval: 1 }),
      yAxis: upright(theme, valueAxis(theme, "share of the attention output", { min: 0, max: 1 })),
      tooltip: {
        trigger: "axis",
        formatter: (points: { value: [number, number]; seriesName: string }[]) =>
          tip(`layer ${points[0]!.value[0]}`, points.map((p) => [p.seriesName, exact(p.value[1])])),
      },
      series: present.map(([name, of], i) => ({
        type: "line",
        name,
        symbol: kSymbols[i],
        symbolSize: 7,
        data: bias.flatMap((row) => (of(row) === null ? [] : [[row.layer, of(row)]])),
      })),
    }),
    table: () => ({
      columns: ["layer", "share", "constant_share", "slot_share"],
      rows: bias.map((row) => [row.layer, row.share, row.constant_share, row.slot_share]),
    }),
  });
}

function replacementText(model: ModelData): HTMLElement | null {
  const replacement = model.explain!.replacement;
  if (!replacement) return null;
  const parts = replacement.variants.map((v) => `${v.name} ${number(v.perplexity.perplexity.value)}`);
  return el(
    "p",
    { class: "verdict" },
    `${model.label}: perplexity when the massive tokens' part of attention is replaced by its constant, or removed: ${parts.join(", ")}.`,
  );
}

export function explainSection(all: ModelData[]): HTMLElement | null {
  const models = all.filter((model) => model.explain);
  if (models.length === 0) return null;
  const section = el("section", { id: "explain" }, el("h2", {}, "From one scalar to an attention bias"));
  append(
    section,
    el(
      "p",
      {},
      "Each layer's attention and MLP add to the scalar; from there on, heads look at the tokens that carry it, and what they " +
        "take from them hardly depends on the query: a constant bias.",
    ),
  );
  // Kind by kind, so that the models stand beside each other.
  const kinds: [(explain: Explain) => boolean, (model: ModelData, index: number) => Chart][] = [
    [(explain) => explain.findings.length > 0, writesChart],
    [(explain) => explain.sinks.layers.length > 0, sinkChart],
    [(explain) => explain.bias.length > 0, biasChart],
  ];
  const groups = kinds.map(([has, make]) => models.filter((model) => has(model.explain!)).map((model) => make(model, all.indexOf(model)).figure));
  section.append(...charted(groups));
  for (const model of models) append(section, replacementText(model));
  return section;
}
