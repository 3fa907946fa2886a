// A chart with its frame: title, note, saving as PNG, SVG and CSV, the numbers as a table. Charts
// are drawn when they come into view, so that a long page opens at once; all are drawn to be printed.
import { withHeadroom } from "./axes";
import { append, el } from "./dom";
import { echarts, type Option } from "./echarts";
import { saveText, saveUrl } from "./save";
import { toCsv, toElement, type Table } from "./table";
import { currentTheme, themeOf, type Theme } from "./theme";
import { titledCanvas, titledSvg } from "./titled";

export interface ChartSpec {
  id: string;
  title: string;
  note?: string;
  height?: number;
  /** What ECharts draws, in the colours of a theme, this many pixels wide. */
  option: (theme: Theme, width: number) => Option;
  /** What to draw for an SVG if that is another picture (WebGL has none). */
  svgOption?: (theme: Theme, width: number) => Option;
  /** The title of a saved picture, if what was chosen on the page belongs to it. */
  savedTitle?: () => string;
  table: () => Table;
}

const kPixelRatio = 2;
const kSavedWidth = 900;
const kPrintedWidth = 700;
const kSettled = 150; // ms

/** All charts of the page by id: for the tests, and for people at the console. */
export const charts = new Map<string, Chart>();

export class Chart {
  readonly figure: HTMLElement;
  private readonly host: HTMLElement;
  private readonly tableHost: HTMLElement;
  private readonly height: number;
  private instance: ReturnType<typeof echarts.init> | null = null;
  private drawnWidth = 0;
  private resizing: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly spec: ChartSpec) {
    this.height = spec.height ?? 340;
    this.host = el("div", { class: "chart", style: `height:${this.height}px` });
    this.tableHost = el("div");
    const tools = el("div", { class: "tools" });
    const button = (text: string, label: string, click: () => void) =>
      tools.append(el("button", { type: "button", "aria-label": `${label}: ${spec.title}`, click }, text));
    button("PNG", "Save as PNG", () => this.savePng());
    button("SVG", "Save as SVG", () => saveText(`${spec.id}.svg`, "image/svg+xml", this.svgText()));
    button("CSV", "Save the numbers as CSV", () => saveText(`${spec.id}.csv`, "text/csv", toCsv(spec.table())));
    button("Table", "Show the numbers", () => this.toggleTable());
    this.figure = el("figure", { id: spec.id }, el("figcaption", {}, el("h3", {}, spec.title), tools));
    append(this.figure, spec.note ? el("p", { class: "note" }, spec.note) : null, this.host, this.tableHost);
    charts.set(spec.id, this);
    const seen = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        seen.disconnect();
        this.draw();
      },
      { rootMargin: "300px" },
    );
    seen.observe(this.host);
    new ResizeObserver(() => this.resized()).observe(this.host);
  }

  /** Draws, or draws again after the data or the theme changed. */
  draw(): void {
    const fresh = this.instance === null;
    this.instance ??= echarts.init(this.host, null, { renderer: "canvas" });
    this.drawnWidth = this.host.clientWidth;
    this.instance.setOption(this.dressed(this.spec.option(currentTheme(), this.drawnWidth), this.drawnWidth), { notMerge: !fresh });
    if (this.tableHost.firstChild) this.tableHost.replaceChildren(toElement(this.spec.table()));
  }

  /** Draws again if it was drawn; for changes of many charts at once. */
  refresh(): void {
    if (this.instance) this.draw();
  }

  /** Changes a part of the picture only (a slider that moves must not jump back the camera). */
  update(part: Option): void {
    if (this.instance) this.instance.setOption(part);
    if (this.tableHost.firstChild) this.tableHost.replaceChildren(toElement(this.spec.table()));
  }

  /** ECharts' own idea of what is drawn. */
  drawn(): Option | null {
    return this.instance ? (this.instance.getOption() as Option) : null;
  }

  /** The chart below its title, as an element. */
  svg(theme = currentTheme(), width = kSavedWidth): SVGElement {
    const option = (this.spec.svgOption ?? this.spec.option)(theme, width);
    const picture = echarts.init(null, null, { renderer: "svg", ssr: true, width, height: this.height });
    picture.setOption({ ...this.dressed(option, width, theme), animation: false, backgroundColor: theme.background });
    const drawing = picture.renderToSVGString();
    picture.dispose();
    return titledSvg(drawing, this.savedTitle(), width, this.height, theme);
  }

  svgText(): string {
    return new XMLSerializer().serializeToString(this.svg());
  }

  png(): string {
    if (!this.instance) this.draw();
    const theme = currentTheme();
    // Layers of WebGL have the screen's pixels and no others: asked for more, they stay empty.
    const ratio = this.drawn()!.grid3D ? Math.min(kPixelRatio, devicePixelRatio) : kPixelRatio;
    const drawing = this.instance!.renderToCanvas({ pixelRatio: ratio, backgroundColor: theme.background });
    return titledCanvas(drawing, this.savedTitle(), ratio, theme).toDataURL("image/png");
  }

  /** Puts a drawing beside the chart that paper shows in its place, whatever its width. */
  preparePrint(): void {
    const drawing = this.svg(themeOf(false), kPrintedWidth);
    drawing.setAttribute("class", "printed");
    this.host.after(drawing);
  }

  endPrint(): void {
    this.figure.querySelectorAll(".printed").forEach((drawing) => drawing.remove());
  }

  private savedTitle(): string {
    return this.spec.savedTitle?.() ?? this.spec.title;
  }

  private resized(): void {
    // Nothing can be drawn into a host that is not shown (a page that is being closed).
    if (!this.instance || this.host.clientWidth === 0) return;
    this.instance.resize();
    clearTimeout(this.resizing);
    this.resizing = setTimeout(() => {
      if (this.host.clientWidth > 0 && this.host.clientWidth !== this.drawnWidth) this.draw();
    }, kSettled);
  }

  private savePng(): void {
    saveUrl(`${this.spec.id}.png`, this.png());
  }

  private toggleTable(): void {
    if (this.tableHost.firstChild) this.tableHost.replaceChildren();
    else this.tableHost.append(toElement(this.spec.table()));
  }

  // What all charts have in common.
  private dressed(option: Option, width: number, theme = currentTheme()): Option {
    const tooltip = {
      confine: true,
      backgroundColor: theme.background,
      borderColor: theme.line,
      textStyle: { color: theme.text },
      ...(option.tooltip ?? {}),
    };
    return {
      textStyle: { color: theme.text, fontFamily: "system-ui, sans-serif" },
      color: theme.categories,
      animation: false,
      aria: { enabled: true, label: { description: this.spec.title } },
      ...withHeadroom(option, width),
      tooltip,
    };
  }
}
