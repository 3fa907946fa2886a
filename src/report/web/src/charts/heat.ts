// A heat map of columns x rows with tooltips: used for magnitudes, sinks and attention.
import { categoryAxis, upright } from "../axes";
import { tip } from "../dom";
import type { Option } from "../echarts";
import { exact, number } from "../format";
import { kCividis, type Theme } from "../theme";

export interface Heat {
  columns: string[];
  rows: string[];
  columnName: string;
  rowName: string;
  valueName: string;
  /** [row][column] */
  values: (number | null)[][];
  min?: number;
  max?: number;
  /** Colours by log10 of the value. */
  log?: boolean;
  /** What a tooltip says of a column or row, if not its label. */
  columnTitle?: (column: number) => string;
  rowTitle?: (row: number) => string;
  /** The columns to name, if not as many as there is room for. */
  named?: (column: number) => boolean;
  /** Rows from top to bottom. */
  inverse?: boolean;
}

const kLetter = 7; // px, about
const kFewLetters = 3;

export function heatOption(theme: Theme, heat: Heat): Option {
  const shown = (value: number) => (heat.log ? Math.log10(Math.max(value, 1e-12)) : value);
  const flat = heat.values.flatMap((row, y) =>
    row.flatMap((value, x) => (value === null ? [] : [{ value: [x, y, shown(value)], exact: value }])),
  );
  const all = flat.map((cell) => cell.value[2]!);
  const largest = all.reduce((a, b) => Math.max(a, b), -Infinity);
  const smallest = all.reduce((a, b) => Math.min(a, b), Infinity);
  const longest = heat.columns.reduce((most, name) => Math.max(most, name.length), 0);
  const slanted = longest > kFewLetters;
  // The name stands clear of slanted labels.
  const nameGap = slanted ? 24 + longest * kLetter * Math.SQRT1_2 : 26;
  return {
    grid: { left: 8, right: 16, bottom: 64, containLabel: true },
    xAxis: categoryAxis(theme, heat.columnName, heat.columns, { nameGap, axisLabel: { rotate: slanted ? 45 : 0, ...(heat.named ? { interval: heat.named } : {}) } }),
    yAxis: upright(theme, categoryAxis(theme, heat.rowName, heat.rows, { inverse: heat.inverse ?? false, axisLabel: { hideOverlap: true } })),
    visualMap: {
      min: heat.min ?? smallest,
      max: heat.max ?? largest,
      calculable: true,
      orient: "horizontal",
      left: "center",
      bottom: 0,
      itemWidth: 12,
      inRange: { color: kCividis },
      textStyle: { color: theme.text },
      formatter: (value: number) => number(heat.log ? 10 ** value : value),
    },
    tooltip: {
      formatter: (p: { data: { value: number[]; exact: number } }) => {
        const [x, y] = p.data.value as [number, number];
        return tip(`${heat.valueName} ${exact(p.data.exact)}`, [
          [heat.columnName, heat.columnTitle?.(x) ?? heat.columns[x]!],
          [heat.rowName, heat.rowTitle?.(y) ?? heat.rows[y]!],
        ]);
      },
    },
    series: [{ type: "heatmap", data: flat, progressive: 0, emphasis: { itemStyle: { borderColor: theme.text } } }],
  };
}
