// Axes in the page's colours.
import type { Option } from "./echarts";
import { number } from "./format";
import type { Theme } from "./theme";

function axis(theme: Theme, name: string): Option {
  return {
    name,
    nameLocation: "middle",
    nameTextStyle: { color: theme.muted },
    axisLine: { lineStyle: { color: theme.muted } },
    axisLabel: { color: theme.text },
    splitLine: { lineStyle: { color: theme.line } },
  };
}

export function valueAxis(theme: Theme, name: string, more: Option = {}): Option {
  const base = axis(theme, name);
  return { ...base, type: "value", ...more, axisLabel: { ...base.axisLabel, formatter: number, ...more.axisLabel } };
}

export function logAxis(theme: Theme, name: string, more: Option = {}): Option {
  return { ...valueAxis(theme, name, more), type: "log" };
}

/** Categories are told apart by index, so that two of the same name stay two. */
export function categoryAxis(theme: Theme, name: string, labels: string[], more: Option = {}): Option {
  const base = axis(theme, name);
  return {
    ...base,
    type: "category",
    data: labels.map((_, i) => String(i)),
    ...more,
    axisLabel: { ...base.axisLabel, formatter: (_: string, i: number) => labels[i], ...more.axisLabel },
  };
}

export function legend(theme: Theme, more: Option = {}): Option {
  return { type: "scroll", top: 0, textStyle: { color: theme.text }, pageTextStyle: { color: theme.text }, ...more };
}

/** The smallest and largest of the positive values, widened to powers of ten. */
export function decades(values: number[]): { min: number; max: number } {
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return { min: 0.1, max: 1 };
  const low = positive.reduce((a, b) => Math.min(a, b));
  const high = positive.reduce((a, b) => Math.max(a, b));
  return { min: 10 ** Math.floor(Math.log10(low)), max: 10 ** Math.ceil(Math.log10(high)) };
}
