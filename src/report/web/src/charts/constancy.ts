// How constant a finding is: its signed value in every sequence.
import { categoryAxis, upright, valueAxis } from "../axes";
import { Chart } from "../chart";
import { bestSet, type Finding, type ModelData } from "../data";
import { el, tip } from "../dom";
import { classInWords, exact, number, percent, quoted } from "../format";
import { kSymbols } from "../theme";

const kShown = 10;
const kStripWidth = 0.6;
const kStripHeight = 44;
const kGoldenRatio = 0.618034;
const kRoundOff = 1e-9; // of results that older versions wrote

// Side by side within the strip, in an order that never clumps.
function spread(i: number): number {
  return (((i + 1) * kGoldenRatio) % 1) * kStripWidth - kStripWidth / 2;
}

function name(finding: Finding): string {
  return `${finding.dimension}, ${classInWords(finding.position_class)}`;
}

// Strips lie, so that their names can be read at any width.
function constancyChart(model: ModelData, index: number): Chart {
  const findings = bestSet(model.scan!).findings.slice(0, kShown);
  return new Chart({
    id: `constancy-${index}`,
    title: `${model.label}: values in every sequence`,
    height: 80 + kStripHeight * findings.length,
    option: (theme) => ({
      grid: { left: 8, right: 24, bottom: 28, containLabel: true },
      xAxis: valueAxis(theme, "h at the finding's strongest layer", { scale: true, nameGap: 26 }),
      yAxis: [
        upright(theme, categoryAxis(theme, "dimension, kind of token", findings.map(name), { inverse: true, axisLabel: { interval: 0 } })),
        { type: "value", show: false, inverse: true, min: -0.5, max: findings.length - 0.5 },
      ],
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
        yAxisIndex: 1,
        symbol: kSymbols[f % kSymbols.length],
        symbolSize: 6,
        itemStyle: { opacity: 0.65, color: theme.categories[f % theme.categories.length] },
        data: finding.values.map((value, i) => ({ value: [value.value, f + spread(i)], finding: f, index: i })),
        markLine: {
          symbol: "none",
          silent: true,
          precision: -1, // else it stands at two decimals of its value
          label: { show: false },
          lineStyle: { type: "solid", color: theme.text, width: 1.5 },
          data: [
            [
              { coord: [finding.mean, f - kStripWidth / 2] },
              { coord: [finding.mean, f + kStripWidth / 2] },
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

// σ of one value says nothing.
function constancyInWords(model: ModelData): string {
  const first = bestSet(model.scan!).findings[0]!;
  const what = `${model.label}: dimension ${first.dimension} at ${quoted(first.token)}`;
  if (first.scalars < 2) return `${what} has one value only`;
  return first.cv < kRoundOff ? `${what} is the same in all its ${first.scalars} places` : `${what} varies by ${percent(first.cv)} of its mean`;
}

export function constancySection(all: ModelData[]): HTMLElement | null {
  const models = all.filter((model) => model.scan && bestSet(model.scan).findings.length > 0);
  if (models.length === 0) return null;
  return el(
    "section",
    { id: "constancy" },
    el("h2", {}, "How constant they are"),
    el("p", {}, `The signed value in every sequence, at the layer where it is strongest; the line is the mean. ${models.map(constancyInWords).join("; ")}.`),
    el("div", { class: "side-by-side" }, ...models.map((model) => constancyChart(model, all.indexOf(model)).figure)),
  );
}
