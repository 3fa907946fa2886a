// Norms of tokens and attention over the pictures that a vision model read.
import { Chart } from "../chart";
import type { ModelData, Picture, PictureLayer, Pictures } from "../data";
import { el, select, tip } from "../dom";
import type { Option } from "../echarts";
import { exact, number } from "../format";
import { kCividis, type Theme } from "../theme";

interface View {
  name: string;
  values: (layer: PictureLayer) => number[] | null;
}

const kSide = 280;
const kMargin = 8;

function tokenName(data: Pictures, index: number): string {
  const registers = index - data.class_tokens;
  if (registers < 0) return index === 0 ? "class token" : "distillation token";
  return registers < data.registers ? `register ${registers}` : placeName(data, index);
}

function placeName(data: Pictures, index: number): string {
  const patch = index - data.class_tokens - data.registers;
  return `patch ${Math.floor(patch / data.grid.columns)}, ${patch % data.grid.columns}`;
}

// The picture behind, a translucent cell per patch above it.
function overlay(theme: Theme, data: Pictures, picture: Picture, values: number[] | null, name: string, room: number): Option {
  const first = data.class_tokens + data.registers;
  const { rows, columns } = data.grid;
  const scale = Math.min(kSide / picture.height, (room - 2 * kMargin) / picture.width);
  const width = scale * picture.width;
  const height = scale * picture.height;
  const box = { left: kMargin, top: kMargin, width, height };
  const cells = (values ?? []).slice(first).map((value, i) => [i % columns, Math.floor(i / columns), value]);
  const shown = cells.map((cell) => cell[2]!);
  const hidden = { type: "category", show: false, boundaryGap: true };
  return {
    grid: box,
    graphic: [{ type: "image", left: box.left, top: box.top, z: 0, style: { image: picture.image, width, height } }],
    xAxis: { ...hidden, data: Array.from({ length: columns }, (_, i) => i) },
    yAxis: { ...hidden, data: Array.from({ length: rows }, (_, i) => i), inverse: true },
    visualMap: {
      show: cells.length > 0,
      min: shown.reduce((a, b) => Math.min(a, b), Infinity),
      max: shown.reduce((a, b) => Math.max(a, b), -Infinity),
      calculable: true,
      orient: "horizontal",
      left: kMargin,
      top: height + 16,
      itemWidth: 12,
      inRange: { color: kCividis, opacity: [0.1, 0.85] },
      controller: { inRange: { color: kCividis, opacity: 1 } },
      textStyle: { color: theme.text },
      formatter: (value: number) => number(value),
    },
    tooltip: {
      formatter: (p: { value: number[]; dataIndex: number }) =>
        tip(placeName(data, first + p.dataIndex), [[name, exact(p.value[2]!)]]),
    },
    series: [{ type: "heatmap", data: cells, progressive: 0 }],
  };
}

// What has no place in the picture.
function leadingTokens(data: Pictures, values: number[] | null): string {
  const count = data.class_tokens + data.registers;
  if (!values || count === 0) return "";
  return Array.from({ length: count }, (_, i) => `${tokenName(data, i)}: ${number(values[i])}`).join(" · ");
}

// The file, with as many folders as tell it from the others.
function shortestName(picture: Picture, all: Picture[]): string {
  const parts = picture.file.split("/");
  for (let count = 1; count < parts.length; ++count) {
    const name = parts.slice(-count).join("/");
    if (all.filter((one) => `/${one.file}`.endsWith(`/${name}`)).length === 1) return name;
  }
  return picture.file;
}

function pictureFigure(model: ModelData, picture: Picture, id: string): HTMLElement {
  const data = model.pictures!;
  const title = shortestName(picture, data.pictures);
  const attention = picture.layers.some((layer) => layer.attention !== null);
  const views: View[] = [
    { name: "norm of the token", values: (layer) => layer.norms },
    ...(attention ? [{ name: `attention of the ${data.attention_of}`, values: (layer: PictureLayer) => layer.attention }] : []),
    { name: "the picture alone", values: () => null },
  ];
  const state = { layer: picture.layers.length - 1, view: 0 };
  const layer = () => picture.layers[state.layer]!;
  const values = () => views[state.view]!.values(layer());
  const leading = el("p", { class: "note" });
  const chart = new Chart({
    id,
    title,
    savedTitle: () => `${model.label}: ${views[state.view]!.name} behind layer ${layer().layer}, ${title}`,
    height: kSide + 80,
    option: (theme, width) => overlay(theme, data, picture, values(), views[state.view]!.name, width),
    table: () => ({
      columns: ["layer", "token", ...views.slice(0, -1).map((view) => view.name)],
      rows: layer().norms.map((_, i) => [
        layer().layer,
        tokenName(data, i),
        ...views.slice(0, -1).map((view) => view.values(layer())?.[i] ?? null),
      ]),
    }),
  });
  const change = () => {
    leading.textContent = leadingTokens(data, values());
    chart.refresh();
  };
  const controls = el(
    "div",
    { class: "controls" },
    select("Shown", views.map((view) => view.name), (i) => ((state.view = i), change())),
    select("behind layer", picture.layers.map((one) => String(one.layer)), (i) => ((state.layer = i), change()), state.layer),
  );
  chart.figure.insertBefore(controls, chart.figure.children[1] ?? null);
  chart.figure.append(leading);
  change();
  return chart.figure;
}

export function picturesSection(all: ModelData[]): HTMLElement | null {
  const section = el(
    "section",
    { id: "pictures" },
    el("h2", {}, "Over the pictures"),
    el("p", {}, "Where tokens are huge, and where attention goes: a bright patch with nothing to see in it is where a model without registers keeps what it does not want to forget. Small values are see-through."),
  );
  let drawn = 0;
  all.forEach((model, m) => {
    const data = model.pictures;
    if (!data) return;
    const figures = el("div", { class: "side-by-side" });
    data.pictures.forEach((picture, i) => figures.append(pictureFigure(model, picture, `picture-${m}-${i}`)));
    section.append(el("h3", {}, model.label), figures);
    drawn += data.pictures.length;
  });
  return drawn > 0 ? section : null;
}
