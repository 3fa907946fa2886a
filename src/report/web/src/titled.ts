// A picture of a chart with its title above: what is saved must say what it shows.
import type { Theme } from "./theme";

const kHead = 34;
const kBaseline = 22;
const kMargin = 10;
const kFont = "system-ui, sans-serif";
const kSvg = "http://www.w3.org/2000/svg";
// What XML cannot hold, even escaped.
const kNotXml = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

function svgElement(name: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS(kSvg, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

/** `drawing` (SVG of width × height) below its title, as one element that scales. */
export function titledSvg(drawing: string, title: string, width: number, height: number, theme: Theme): SVGElement {
  const inner = new DOMParser().parseFromString(drawing.replace(kNotXml, ""), "image/svg+xml").documentElement;
  inner.setAttribute("y", String(kHead));
  const total = height + kHead;
  const outer = svgElement("svg", { width, height: total, viewBox: `0 0 ${width} ${total}` });
  const text = svgElement("text", { x: kMargin, y: kBaseline, fill: theme.text, "font-family": kFont, "font-size": 15, "font-weight": 600 });
  text.append(title.replace(kNotXml, ""));
  outer.append(svgElement("rect", { width, height: total, fill: theme.background }), text, document.importNode(inner, true));
  return outer;
}

/** The same for a canvas of `ratio` device pixels per pixel. */
export function titledCanvas(drawing: HTMLCanvasElement, title: string, ratio: number, theme: Theme): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = drawing.width;
  canvas.height = drawing.height + kHead * ratio;
  const context = canvas.getContext("2d")!;
  context.fillStyle = theme.background;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = theme.text;
  context.font = `600 ${15 * ratio}px ${kFont}`;
  context.fillText(title, kMargin * ratio, kBaseline * ratio, canvas.width - 2 * kMargin * ratio);
  context.drawImage(drawing, 0, kHead * ratio);
  return canvas;
}
