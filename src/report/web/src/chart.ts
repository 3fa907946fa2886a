// A chart with its frame: title, note, saving as PNG, SVG and CSV, the numbers as a table. Charts
// are drawn when they come into view, so that a long page opens at once.
import { append, el } from "./dom";
import { echarts, type Option } from "./echarts";
import { saveText, saveUrl } from "./save";
import { toCsv, toElement, type Table } from "./table";
import { currentTheme, type Theme } from "./theme";

export interface ChartSpec {
  id: string;
  title: string;
  note?: string;
  height?: number;
  /** What ECharts draws, in the colours of a theme. */
  option: (theme: Theme) => Option;
  /** What to draw for an SVG if that is another picture (WebGL has none). */
  svgOption?: (theme: Theme) => Option;
  table: () => Table;
}

const kPixelRatio = 2;
const kSavedWidth = 900;

/** All charts of the page by id: for the tests, and for people at the console. */
export const charts = new Map<string, Chart>();

export class Chart {
  readonly figure: HTMLElement;
  private readonly host: HTMLElement;
  private readonly tableHost: HTMLElement;
  private instance: ReturnType<typeof echarts.init> | null = null;

  constructor(readonly spec: ChartSpec) {
    const height = spec.height ?? 340;
    this.host = el("div", { class: "chart", style: `height:${height}px` });
    this.tableHost = el("div");
    const tools = el("div", { class: "tools" });
    const button = (text: string, label: string, click: () => void) =>
      tools.append(el("button", { type: "button", "aria-label": `${label}: ${spec.title}`, click }, text));
    button("PNG", "Save as PNG", () => this.savePng());
    button("SVG", "Save as SVG", () => saveText(`${spec.id}.svg`, "image/svg+xml", this.svg()));
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
    new ResizeObserver(() => {
      // Nothing can be drawn into a host that is not shown (a page that is being closed).
      if (this.host.clientWidth > 0) this.instance?.resize();
    }).observe(this.host);
  }

  /** Draws, or draws again after the data or the theme changed. */
  draw(): void {
    const fresh = this.instance === null;
    this.instance ??= echarts.init(this.host, null, { renderer: "canvas" });
    this.instance.setOption(this.dressed(this.spec.option(currentTheme())), { notMerge: !fresh });
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

  svg(): string {
    const option = (this.spec.svgOption ?? this.spec.option)(currentTheme());
    const size = { width: kSavedWidth, height: this.spec.height ?? 340 };
    const picture = echarts.init(null, null, { renderer: "svg", ssr: true, ...size });
    picture.setOption({ ...this.dressed(option), animation: false, backgroundColor: currentTheme().background });
    const text = picture.renderToSVGString();
    picture.dispose();
    return text;
  }

  png(): string {
    if (!this.instance) this.draw();
    const background = currentTheme().background;
    return this.instance!.getDataURL({ type: "png", pixelRatio: kPixelRatio, backgroundColor: background });
  }

  private savePng(): void {
    saveUrl(`${this.spec.id}.png`, this.png());
  }

  private toggleTable(): void {
    if (this.tableHost.firstChild) this.tableHost.replaceChildren();
    else this.tableHost.append(toElement(this.spec.table()));
  }

  // What all charts have in common.
  private dressed(option: Option): Option {
    const theme = currentTheme();
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
      ...option,
      tooltip,
    };
  }
}
