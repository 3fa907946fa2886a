// Top-1/2/3 and median of |h| by layer on a log axis, after the paper's figure 4.
import { decades, legend, logAxis, upright, valueAxis } from "../axes";
import { Chart } from "../chart";
import type { ModelData, Scan } from "../data";
import { el, tip } from "../dom";
import { exact } from "../format";
import { kSymbols } from "../theme";

const kCurves = ["top-1", "top-2", "top-3", "median"];

function curves(scan: Scan): number[][] {
  return scan.layers.map((row) => [...row.top.slice(0, 3), row.median]);
}

function layerChart(model: ModelData, index: number, range: { min: number; max: number }): Chart {
  const scan = model.scan!;
  const values = curves(scan);
  return new Chart({
    id: `layers-${index}`,
    title: `${model.label}: the largest |h| and the median`,
    height: 320,
    option: (theme) => ({
      grid: { left: 8, right: 16, bottom: 28, containLabel: true },
      legend: legend(theme),
      xAxis: valueAxis(theme, "layer", { nameGap: 26, min: "dataMin", max: "dataMax", minInterval: 1, splitLine: { show: false } }),
      yAxis: upright(theme, logAxis(theme, "|h|", { ...range })),
      tooltip: {
        trigger: "axis",
        formatter: (points: { value: [number, number]; seriesName: string }[]) =>
          tip(`layer ${points[0]!.value[0]}`, points.map((p) => [p.seriesName, exact(p.value[1])])),
      },
      series: kCurves.map((name, i) => ({
        type: "line",
        name,
        symbol: kSymbols[i],
        symbolSize: 7,
        lineStyle: { type: name === "median" ? "dashed" : "solid" },
        // A log axis has no zero.
        data: values.flatMap((row, at) => (row[i]! > 0 ? [[scan.layers[at]!.layer, row[i]]] : [])),
      })),
    }),
    table: () => ({
      columns: ["layer", "top1", "top2", "top3", "median"],
      rows: values.map((row, at) => [scan.layers[at]!.layer, ...row]),
    }),
  });
}

export function layersSection(all: ModelData[]): HTMLElement | null {
  const models = all.filter((model) => model.scan && model.scan.layers.length > 0);
  if (models.length === 0) return null;
  const range = decades(models.flatMap((model) => curves(model.scan!).flat()));
  const charts = models.map((model) => layerChart(model, all.indexOf(model), range));
  return el(
    "section",
    { id: "layers" },
    el("h2", {}, "Layer by layer"),
    el(
      "p",
      {},
      "The three largest |h| of a sequence and the median of |h|, averaged over sequences; layer 0 is the embedding. " +
        "Massive activations show as a gap between top-1 and the median that opens within a layer or two.",
    ),
    el("div", { class: "side-by-side" }, ...charts.map((chart) => chart.figure)),
  );
}
