// How constant a finding is: its signed value in every sequence.
import { categoryAxis, valueAxis } from "../axes";
import { Chart } from "../chart";
import { bestSet, type Finding, type ModelData } from "../data";
import { el, tip } from "../dom";
import { classInWords, exact, number, quoted } from "../format";
import { kSymbols } from "../theme";

const kShown = 10;
const kStripWidth = 0.6;
const kGoldenRatio = 0.618034;

// Side by side within the strip, in an order that never clumps.
function spread(i: number): number {
  return (((i + 1) * kGoldenRatio) % 1) * kStripWidth - kStripWidth / 2;
}

function name(finding: Finding): string {
  return `${finding.dimension}, ${classInWords(finding.position_class)}`;
}

function constancyChart(model: ModelData, index: number): Chart {
  const findings = bestSet(model.scan!).findings.slice(0, kShown);
  return new Chart({
    id: `constancy-${index}`,
    title: model.label,
    height: 340,
    option: (theme) => ({
      grid: { left: 8, right: 16, top: 16, bottom: 56, containLabel: true },
      xAxis: [
        categoryAxis(theme, "dimension, kind of token", findings.map(name), {
          nameGap: 56,
          axisLabel: { rotate: 25, interval: 0, overflow: "truncate", width: 110 },
        }),
        { type: "value", show: false, min: -0.5, max: findings.length - 0.5 },
      ],
      yAxis: valueAxis(theme, "", { scale: true }),
      tooltip: {
        formatter: (p: { data: { finding: number; index: number } }) => {
          const finding = findings[p.data.finding]!;
          const value = finding.values[p.data.index]!;
          return tip(exact(value.value), [
            ["finding", name(finding)],
            ["sequence, position", `${value.sequence}, ${value.position}`],
            ["mean ± σ", `${number(finding.mean)} ± ${number(finding.sigma)}`],
          ]);
        },
      },
      series: findings.map((finding, f) => ({
        type: "scatter",
        xAxisIndex: 1,
        symbol: kSymbols[f % kSymbols.length],
        symbolSize: 6,
        itemStyle: { opacity: 0.65, color: theme.categories[f % theme.categories.length] },
        data: finding.values.map((value, i) => ({ value: [f + spread(i), value.value], finding: f, index: i })),
        markLine: {
          symbol: "none",
          silent: true,
          label: { show: false },
          lineStyle: { type: "solid", color: theme.text, width: 1.5 },
          data: [
            [
              { coord: [f - kStripWidth / 2, finding.mean] },
              { coord: [f + kStripWidth / 2, finding.mean] },
            ],
          ],
        },
      })),
    }),
    table: () => ({
      columns: ["dimension", "position_class", "sequence", "position", "value"],
      rows: findings.flatMap((finding) =>
        finding.values.map((v) => [finding.dimension, finding.position_class, v.sequence, v.position, v.value]),
      ),
    }),
  });
}

export function constancySection(all: ModelData[]): HTMLElement | null {
  const models = all.filter((model) => model.scan && bestSet(model.scan).findings.length > 0);
  if (models.length === 0) return null;
  const worst = (model: ModelData) => {
    const first = bestSet(model.scan!).findings[0]!;
    return `${model.label}: dimension ${first.dimension} at ${quoted(first.token)} varies by ${number(100 * first.cv)} % of its mean`;
  };
  return el(
    "section",
    { id: "constancy" },
    el("h2", {}, "How constant they are"),
    el("p", {}, `The signed value in every sequence, at the layer where it is strongest; the line is the mean. ${models.map(worst).join("; ")}.`),
    el("div", { class: "side-by-side" }, ...models.map((model) => constancyChart(model, all.indexOf(model)).figure)),
  );
}
