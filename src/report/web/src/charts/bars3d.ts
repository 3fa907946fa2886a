// Tokens x dimensions x |h| of one layer, after the paper's figure 1.
import { Chart } from "../chart";
import { bestSet, type ModelData, type Window } from "../data";
import { append, el, tip } from "../dom";
import type { Option } from "../echarts";
import { exact, number, plural, quoted, shortToken } from "../format";
import { kCividis, type Theme } from "../theme";
import { heatOption } from "./heat";

const kFewTokens = 16;
const kLabelledTokens = 9;
const kNarrow = 500; // px: less has no room for bars and their labels
const kDistance = 210;
const kWidest = 1.25; // width / height that shows all at this distance
const kHeight = 460;

export function hasWebGl(): boolean {
  const canvas = document.createElement("canvas");
  return canvas.getContext("webgl2") !== null || canvas.getContext("webgl") !== null;
}

// The next half of a power of ten, as the end of an axis.
function roundedUp(value: number): number {
  if (value <= 0) return 1;
  const step = 10 ** Math.floor(Math.log10(value)) / 2;
  return Math.ceil(value / step) * step;
}

/** What all models' views share. */
interface View {
  layer: number;
  tokens: number;
  solid: boolean;
  /** One height for all models and layers, or for the layer alone. */
  common: number | null;
}

interface Bar {
  value: [number, number, number];
  exact: number;
}

class Bars {
  readonly chart: Chart;
  private readonly window: Window;
  private drawnSolid = false;

  constructor(
    model: ModelData,
    index: number,
    private readonly view: View,
  ) {
    this.window = model.window!;
    this.chart = new Chart({
      id: `bars-${index}`,
      title: `${model.label}: |h| of tokens × dimensions`,
      savedTitle: () => `${model.label}: |h| behind layer ${this.layer().layer}`,
      height: kHeight,
      option: (theme, width) => {
        this.drawnSolid = view.solid && width >= kNarrow;
        return this.drawnSolid ? this.solid(theme, width) : this.flat(theme);
      },
      svgOption: (theme) => this.flat(theme),
      table: () => ({
        columns: ["layer", "position", "token", "dimension", "value"],
        rows: this.bars().map((bar) => [
          this.layer().layer,
          bar.value[1],
          this.window.tokens[bar.value[1]]!,
          this.window.dimensions[bar.value[0]]!.dimension,
          bar.exact,
        ]),
      }),
    });
  }

  /** The layer of the slider, or the model's last one before it. */
  layer(): Window["layers"][number] {
    const layers = this.window.layers;
    return layers.find((row) => row.layer === this.view.layer) ?? layers[layers.length - 1]!;
  }

  bars(): Bar[] {
    const rows = this.layer().values.slice(0, this.view.tokens);
    return rows.flatMap((row, y) => row.map((exact, x): Bar => ({ value: [x, y, Math.abs(exact)], exact })));
  }

  largest(): number {
    return this.bars().reduce((most, bar) => Math.max(most, bar.value[2]), 0);
  }

  moved(): void {
    if (this.drawnSolid) this.chart.update({ series: [{ data: this.bars() }], ...this.scale() });
    else this.chart.refresh();
  }

  private scale(): Option {
    const max = this.view.common ?? this.largest();
    return { visualMap: { min: 0, max }, zAxis3D: { max: roundedUp(max) } };
  }

  private dimensions(): string[] {
    return this.window.dimensions.map((d) => String(d.dimension));
  }

  private tokens(): string[] {
    return this.window.tokens.slice(0, this.view.tokens).map((token) => shortToken(token));
  }

  private solid(theme: Theme, width: number): Option {
    const scale = this.scale();
    const axis = {
      nameTextStyle: { color: theme.muted, fontSize: 13, lineHeight: 20 },
      axisLine: { lineStyle: { color: theme.muted } },
      // In lines of their own height the letters lose their upper edge.
      axisLabel: { color: theme.text, fontSize: 12, lineHeight: 20 },
      axisPointer: { show: false },
      splitLine: { lineStyle: { color: theme.line } },
    };
    const labels = (names: string[], interval: number | ((i: number) => boolean)) => ({
      ...axis.axisLabel,
      interval,
      formatter: (_: string, i: number) => names[i],
    });
    const dimensions = this.dimensions();
    const tokens = this.tokens();
    const found = (i: number) => this.window.dimensions[i]?.has_finding ?? false;
    return {
      tooltip: { formatter: (p: { data: Bar }) => this.tip(p.data) },
      visualMap: { show: false, inRange: { color: kCividis }, ...scale.visualMap },
      xAxis3D: {
        ...axis,
        type: "category",
        name: "dimension",
        data: dimensions.map((_, i) => String(i)),
        axisLabel: labels(dimensions, found),
      },
      yAxis3D: {
        ...axis,
        type: "category",
        name: "token",
        data: tokens.map((_, i) => String(i)),
        nameGap: 34,
        axisLabel: labels(tokens, Math.ceil(tokens.length / kLabelledTokens) - 1),
      },
      zAxis3D: { ...axis, type: "value", name: "|h|", min: 0, ...scale.zAxis3D },
      grid3D: {
        boxWidth: 110,
        boxDepth: 110,
        boxHeight: 80,
        viewControl: { distance: kDistance * Math.max(1, (kWidest * kHeight) / width), alpha: 24, beta: 40, center: [0, -14, 0], minDistance: 100, maxDistance: 500 },
        light: { main: { intensity: 1.1, shadow: false }, ambient: { intensity: 0.5 } },
        environment: theme.background,
      },
      series: [{ type: "bar3D", data: this.bars(), shading: "lambert", bevelSize: 0, animation: false }],
    };
  }

  private flat(theme: Theme): Option {
    return heatOption(theme, {
      columns: this.dimensions(),
      rows: this.tokens(),
      columnName: "dimension",
      rowName: "token",
      valueName: `layer ${this.layer().layer}, |h|`,
      values: this.layer().values.slice(0, this.view.tokens).map((row) => row.map(Math.abs)),
      min: 0,
      max: this.view.common ?? this.largest(),
      inverse: true,
      ...(this.window.dimensions.some((d) => d.has_finding) ? { named: (x: number) => this.window.dimensions[x]!.has_finding } : {}),
      rowTitle: (y) => `${quoted(this.window.tokens[y]!)}, position ${y}`,
    });
  }

  private tip(bar: Bar): HTMLElement {
    const [x, y] = bar.value;
    return tip(`layer ${this.layer().layer}: ${exact(bar.exact)}`, [
      ["token", quoted(this.window.tokens[y]!)],
      ["position", `${y} (${this.window.position_classes[y]})`],
      ["dimension", this.dimensions()[x]!],
    ]);
  }
}

// The first layer at which something massive stands, else the last.
function interestingLayer(models: ModelData[]): number {
  for (const model of models) {
    const finding = model.scan && bestSet(model.scan).findings[0];
    if (finding) return finding.peak_layer;
  }
  const layers = models[0]!.window!.layers;
  return layers[layers.length - 1]!.layer;
}

/** The section, or null if no model has its window. */
export function barsSection(all: ModelData[]): HTMLElement | null {
  const models = all.filter((model) => model.window && model.window.layers.length > 0 && model.window.tokens.length > 0);
  if (models.length === 0) return null;
  const webgl = hasWebGl();
  const lastLayer = Math.max(...models.map((model) => Math.max(...model.window!.layers.map((row) => row.layer))));
  const longest = Math.max(...models.map((model) => model.window!.tokens.length));
  const view: View = {
    layer: interestingLayer(models),
    tokens: Math.min(longest, kFewTokens),
    solid: webgl,
    common: null,
  };
  const bars = models.map((model) => new Bars(model, all.indexOf(model), view));

  const output = el("output", {}, "");
  const slider = el("input", { type: "range", id: "layer", min: 0, max: lastLayer, step: 1, value: view.layer });
  const count = el("input", { type: "range", id: "tokens", min: 4, max: longest, step: 1, value: view.tokens });
  const countOutput = el("output", {}, "");
  const flat = el("input", { type: "checkbox", id: "flat", checked: !webgl, disabled: !webgl });
  const same = el("input", { type: "checkbox", id: "same-height", checked: models.length > 1 });

  const adjust = () => {
    view.layer = Number(slider.value);
    view.tokens = Number(count.value);
    view.solid = !flat.checked;
    view.common = same.checked ? Math.max(...bars.map((one) => one.largest())) : null;
    const heights = bars.map((one) => `${bars.length > 1 ? models[bars.indexOf(one)]!.label + " " : ""}${number(one.largest())}`);
    output.textContent = `${view.layer} of ${lastLayer} · largest |h| ${heights.join(", ")}`;
    countOutput.textContent = plural(view.tokens, "token");
  };
  slider.addEventListener("input", () => {
    adjust();
    bars.forEach((one) => one.moved());
  });
  for (const control of [count, flat, same]) {
    control.addEventListener("input", () => {
      adjust();
      bars.forEach((one) => one.chart.refresh());
    });
  }
  adjust();

  const controls = el("div", { class: "controls" });
  append(
    controls,
    el("label", { class: "control wide" }, "Layer ", slider, output),
    el("label", { class: "control" }, "Tokens ", count, countOutput),
    el("label", { class: "control" }, flat, " heat map"),
    models.length > 1 ? el("label", { class: "control" }, same, " same height for all models") : null,
  );
  const section = el("section", { id: "bars" }, el("h2", {}, "Where they stand: tokens × dimensions × |h|"));
  append(
    section,
    el(
      "p",
      {},
      "The residual stream after one layer: the first tokens of a sequence on one axis; on the other the dimensions with " +
        "findings (labelled) among others for comparison. Drag to turn, wheel to zoom, hover for the number.",
    ),
    webgl ? null : el("p", { class: "warning", id: "no-webgl" }, "This browser has no WebGL: a heat map stands in for the 3-D view."),
    controls,
    el("div", { class: "side-by-side" }, ...bars.map((one) => one.chart.figure)),
  );
  return section;
}
