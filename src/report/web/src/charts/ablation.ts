// What breaks without them: every variant with its error bar.
import { categoryAxis, logAxis, valueAxis } from "../axes";
import { Chart } from "../chart";
import type { Ablate, Estimate, ImageMeasures, ModelData } from "../data";
import { append, charted, el, tip } from "../dom";
import type { Option } from "../echarts";
import { exact, percent, withError } from "../format";
import type { Theme } from "../theme";

const kRowHeight = 30;
const kLogFrom = 5;

interface Measure {
  id: string;
  name: string;
  /** The name on the axis. */
  axis: string;
  values: (Estimate | undefined)[];
  /** A share, drawn in percent. */
  share?: boolean;
}

function measures(ablate: Ablate): Measure[] {
  const texts = ablate.texts.map((text, i) => ({
    id: `perplexity-${i}`,
    name: `perplexity (${text.convention}, ${text.seq_len} tokens, BOS ${text.bos ? "yes" : "no"})`,
    axis: "perplexity",
    values: ablate.variants.map((variant) => variant.measures.perplexities[i]?.perplexity),
  }));
  const tasks = ablate.tasks.map((task, i) => ({
    id: `task-${i}`,
    name: `${task.name}: accuracy (${task.items} items)`,
    axis: "accuracy, %",
    values: ablate.variants.map((variant) => variant.measures.accuracies[i]?.acc),
    share: true,
  }));
  const of_images: [string, string, string, (m: ImageMeasures) => Estimate | null][] = [
    ["top1", "images: top-1 accuracy", "accuracy, %", (m) => m.top1],
    ["top5", "images: top-5 accuracy", "accuracy, %", (m) => m.top5],
    ["cosine", "images: cosine of the features to the original's", "cosine", (m) => m.feature_cosine],
  ];
  const images = of_images
    .map(([id, name, axis, of]) => ({
      id,
      name,
      axis,
      share: id !== "cosine",
      values: ablate.variants.map(({ measures }) => (measures.images ? (of(measures.images) ?? undefined) : undefined)),
    }))
    .filter((measure) => measure.values.some((value) => value !== undefined));
  return [...texts, ...tasks, ...images];
}

// A horizontal whisker from value - error to value + error.
function errorBars(theme: Theme, values: (Estimate | undefined)[], scale: number): Option {
  return {
    type: "custom",
    silent: true,
    clip: true,
    z: 3,
    data: values.flatMap((e, y) => (e && e.error !== null ? [[e.value - e.error, e.value + e.error, y, e.value].map((v, i) => (i === 2 ? v : scale * v))] : [])),
    encode: { x: [0, 1], y: 2 },
    renderItem: (_: unknown, api: { value: (i: number) => number; coord: (at: number[]) => number[] }) => {
      const y = api.value(2);
      const low = Math.max(api.value(0), 0.05 * api.value(3));
      const from = api.coord([low, y]) as [number, number];
      const to = api.coord([api.value(1), y]) as [number, number];
      const line = (x1: number, y1: number, x2: number, y2: number) => ({
        type: "line",
        shape: { x1, y1, x2, y2 },
        style: { stroke: theme.text, lineWidth: 1.5 },
      });
      return {
        type: "group",
        children: [
          line(from[0], from[1], to[0], to[1]),
          line(from[0], from[1] - 5, from[0], from[1] + 5),
          line(to[0], to[1] - 5, to[0], to[1] + 5),
        ],
      };
    },
  };
}

// Shares end at 100 %.
function valuesAxis(theme: Theme, measure: Measure, log: boolean): Option {
  const end = (range: { min: number; max: number }) => (range.max + (range.max - range.min) / 4 >= 100 ? 100 : undefined);
  const more = { nameGap: 26, scale: true, ...(measure.share ? { max: end } : {}) };
  return log ? logAxis(theme, measure.axis, more) : valueAxis(theme, measure.axis, more);
}

function ablationChart(model: ModelData, index: number, measure: Measure): Chart {
  const variants = model.ablate!.variants;
  const present = measure.values.flatMap((e) => (e ? [e.value] : []));
  const scale = measure.share ? 100 : 1;
  const wide = !measure.share && Math.max(...present) > kLogFrom * Math.min(...present) && Math.min(...present) > 0;
  return new Chart({
    id: `ablation-${index}-${measure.id}`,
    title: `${model.label}: ${measure.name}`,
    note: "Whiskers: ± one standard error.",
    height: 90 + kRowHeight * variants.length,
    option: (theme, width) => {
      return {
        grid: { left: 8, right: 24, bottom: 28, containLabel: true },
        xAxis: valuesAxis(theme, measure, wide),
        yAxis: categoryAxis(theme, "", variants.map((v) => v.name), { inverse: true, axisLabel: { interval: 0, width: Math.min(190, 0.45 * width), overflow: "break" } }),
        tooltip: {
          formatter: (p: { data: [number, number] }) => {
            const variant = variants[p.data[1]]!;
            const estimate = measure.values[p.data[1]]!;
            const kl = variant.measures.divergence;
            const shown = measure.share ? ` (${percent(estimate.value)})` : "";
            return tip(`${variant.name}: ${exact(estimate.value)}${shown}`, [
              ["± standard error", exact(estimate.error)],
              ["scalars set", String(variant.scalars)],
              ...(kl ? ([["mean KL", exact(kl.mean_kl.value)], ["top-1 kept", percent(kl.top1_agreement.value)]] as [string, string][]) : []),
            ]);
          },
        },
        series: [
          {
            type: "scatter",
            symbolSize: 11,
            data: measure.values.flatMap((e, y) => (e ? [[scale * e.value, y]] : [])),
            itemStyle: { color: (p: { data: [number, number] }) => theme.categories[variants[p.data[1]]!.kind === "zero" ? 1 : 0] },
            markLine: {
              symbol: "none",
              precision: -1, // else it stands at two decimals of its value
              silent: true,
              label: { show: false },
              lineStyle: { color: theme.muted, type: "dashed" },
              data: measure.values[0] ? [{ xAxis: scale * measure.values[0].value }] : [],
            },
          },
          errorBars(theme, measure.values, scale),
        ],
      };
    },
    table: () => ({
      columns: ["variant", "kind", "layer", "scalars", "value", "error", "mean_kl"],
      rows: variants.map((v, i) => [
        v.name,
        v.kind,
        v.layer,
        v.scalars,
        measure.values[i]?.value ?? null,
        measure.values[i]?.error ?? null,
        v.measures.divergence?.mean_kl.value ?? null,
      ]),
    }),
  });
}

export function ablationSection(all: ModelData[]): HTMLElement | null {
  const models = all.filter((model) => model.ablate && model.ablate.variants.length > 0);
  if (models.length === 0) return null;
  const section = el("section", { id: "ablation" }, el("h2", {}, "What breaks without them"));
  append(section, el("p", {}, "Each variant sets some scalars of one layer; everything after it sees the change. The dashed line is the untouched model."));
  section.append(...charted(models.map((model) => measures(model.ablate!).filter((m) => m.values.some(Boolean)).map((measure) => ablationChart(model, all.indexOf(model), measure).figure))));
  for (const model of models) {
    for (const verdict of model.ablate!.verdicts) {
      section.append(el("p", { class: "verdict" }, all.length > 1 ? `${model.label}: ${verdict}` : verdict));
    }
    const original = model.ablate!.variants[0]?.measures.perplexities[0]?.perplexity;
    if (original && original.error === null) {
      section.append(el("p", { class: "note" }, `${model.label}: ${withError(original.value, null)} has no error bar: one window only.`));
    }
  }
  return section;
}
