// Loss and max/median over the steps of a training run, from metrics.jsonl.
import { legend, logAxis, upright, valueAxis } from "../axes";
import { Chart } from "../chart";
import { readsImages, type ModelData, type TrainingRecord } from "../data";
import { el, tip } from "../dom";
import { exact } from "../format";
import { kSymbols } from "../theme";

type Key = "loss" | "ratio" | "attention";

interface Curve {
  name: string;
  points: [number, number][];
}

function curve(name: string, records: TrainingRecord[], kind: string, key: Key): Curve {
  return { name, points: records.flatMap((r) => (r.kind === kind && r[key] !== undefined ? [[r.step, r[key]]] : [])) as [number, number][] };
}

function trainingChart(id: string, title: string, unit: string, curves: Curve[], log: boolean): Chart {
  return new Chart({
    id,
    title,
    height: 280,
    option: (theme) => ({
      grid: { left: 8, right: 24, bottom: 28, containLabel: true },
      legend: legend(theme),
      xAxis: valueAxis(theme, "step", { nameGap: 26, splitLine: { show: false } }),
      yAxis: upright(theme, (log ? logAxis : valueAxis)(theme, unit, { scale: true })),
      tooltip: {
        trigger: "axis",
        formatter: (points: { value: [number, number]; seriesName: string }[]) =>
          tip(`step ${points[0]!.value[0]}`, points.map((p) => [p.seriesName, exact(p.value[1])])),
      },
      series: curves.map((one, i) => ({
        type: "line",
        name: one.name,
        showSymbol: one.points.length < 60,
        symbol: kSymbols[i % kSymbols.length],
        symbolSize: 6,
        data: one.points,
      })),
    }),
    table: () => ({
      columns: ["curve", "step", "value"],
      rows: curves.flatMap((one) => one.points.map((p) => [one.name, p[0], p[1]])),
    }),
  });
}

export function trainingSection(all: ModelData[]): HTMLElement | null {
  const models = all.filter((model) => model.training.length > 0);
  if (models.length === 0) return null;
  const of = (kind: string, key: Key) =>
    models.map((model) => curve(model.label, model.training, kind, key)).filter((one) => one.points.length > 0);
  const losses = [...of("eval", "loss").map((one) => ({ ...one, name: `${one.name}, held out` })), ...of("train", "loss").map((one) => ({ ...one, name: `${one.name}, training` }))];
  // A text has a loss per token, an image one for its class.
  const items = [...new Set(models.map((model) => (readsImages(model) ? "image" : "token")))].join(" or ");
  const pictures: [string, string, string, Curve[], boolean][] = [
    ["training-loss", "Loss", `nats per ${items}`, losses, false],
    ["training-ratio", "Largest max |h| / median of all layers", "max |h| / median", of("monitor", "ratio"), true],
    ["training-attention", "Largest attention to the first token of all layers", "probability", of("monitor", "attention"), false],
  ];
  const charts = pictures.filter(([, , , curves]) => curves.length > 0).map((picture) => trainingChart(...picture));
  if (charts.length === 0) return null;
  return el(
    "section",
    { id: "training" },
    el("h2", {}, "While it was trained"),
    el("p", {}, "From the models' metrics.jsonl, which massact-train wrote."),
    el("div", { class: "side-by-side" }, ...charts.map((chart) => chart.figure)),
  );
}
