// Axes in the page's colours.
import { echarts, type Option } from "./echarts";
import { number, tick } from "./format";
import type { Theme } from "./theme";

const kLegendRow = 24;
const kLegendItem = 30; // the symbol before a name
const kLegendGap = 10;
const kNameRow = 20;
const kFont = "12px system-ui, sans-serif";

function axis(theme: Theme, name: string): Option {
  return {
    name,
    nameLocation: "middle",
    nameTextStyle: { color: theme.muted },
    // At zero it would run through the data.
    axisLine: { onZero: false, lineStyle: { color: theme.muted } },
    axisLabel: { color: theme.text },
    splitLine: { lineStyle: { color: theme.line } },
  };
}

export function valueAxis(theme: Theme, name: string, more: Option = {}): Option {
  const base = axis(theme, name);
  return { ...base, type: "value", ...more, axisLabel: { ...base.axisLabel, formatter: tick, hideOverlap: true, ...more.axisLabel } };
}

export function logAxis(theme: Theme, name: string, more: Option = {}): Option {
  return { ...valueAxis(theme, name, { ...more, axisLabel: { formatter: number, ...more.axisLabel } }), type: "log" };
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

/** A vertical axis whose name lies above it, where it needs no room beside the labels. */
export function upright(theme: Theme, vertical: Option): Option {
  const place = vertical.inverse ? "start" : "end";
  return { ...vertical, nameLocation: place, nameGap: 8, nameTextStyle: { color: theme.muted, align: "left" } };
}

/** Wraps; `withHeadroom` keeps its lines free. */
export function legend(theme: Theme, more: Option = {}): Option {
  return { type: "plain", top: 0, textStyle: { color: theme.text }, ...more };
}

function legendHeight(option: Option, width: number): number {
  if (!option.legend) return 0;
  const names = new Set((option.series as Option[]).flatMap((one) => (one.name ? [one.name as string] : [])));
  let rows = 1;
  let used = 0;
  for (const name of names) {
    const item = kLegendItem + echarts.format.getTextRect(name, kFont).width;
    if (used > 0 && used + item > width - 2 * kLegendGap) {
      ++rows;
      used = 0;
    }
    used += item + kLegendGap;
  }
  return rows * kLegendRow;
}

/** The option with room above the grid for the legend's lines and the vertical axis' name. */
export function withHeadroom(option: Option, width: number): Option {
  if (!option.grid?.containLabel) return option;
  const vertical = [option.yAxis ?? []].flat() as Option[];
  const named = vertical.some((one) => one.name && one.nameLocation !== "middle");
  const top = 10 + legendHeight(option, width) + (named ? kNameRow : 0);
  return { ...option, grid: { ...option.grid, top } };
}

/** The smallest and largest of the positive values, widened to powers of ten. */
export function decades(values: number[]): { min: number; max: number } {
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return { min: 0.1, max: 1 };
  const low = positive.reduce((a, b) => Math.min(a, b));
  const high = positive.reduce((a, b) => Math.max(a, b));
  return { min: 10 ** Math.floor(Math.log10(low)), max: 10 ** Math.ceil(Math.log10(high)) };
}
