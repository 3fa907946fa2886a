// Attention probabilities of single heads, before and after the massive activations appear.
import { Chart } from "../chart";
import type { AttentionMap, ModelData } from "../data";
import { el, select } from "../dom";
import { quoted, shortToken } from "../format";
import { heatOption } from "./heat";

function mapName(map: AttentionMap): string {
  return `layer ${map.layer}, ${map.head === null ? "mean of the heads" : `head ${map.head}`}`;
}

function tokensOf(model: ModelData, map: AttentionMap): string[] {
  const window = model.window;
  const known = window && window.sequence === map.sequence ? window.tokens : [];
  return map.probabilities.map((_, i) => known[i] ?? `#${i}`);
}

function mapChart(model: ModelData, index: number, place: number, first: number): Chart {
  const state = { map: first };
  const map = () => model.maps[state.map]!;
  const keys = () => [...(map().slot ? ["slot"] : []), ...tokensOf(model, map())];
  const chart = new Chart({
    id: `attention-${index}-${place}`,
    title: model.label,
    height: 460,
    option: (theme) =>
      heatOption(theme, {
        columns: keys().map((token) => shortToken(token)),
        rows: tokensOf(model, map()).map((token) => shortToken(token)),
        columnName: "key",
        rowName: "query",
        valueName: `${mapName(map())}: probability`,
        // Tokens of a text do not see later ones; patches see each other.
        values: map().probabilities.map((row, q) => row.map((p, k) => (!model.pictures && k - (map().slot ? 1 : 0) > q ? null : p))),
        min: 0,
        ...(model.pictures ? {} : { max: 1 }),
        inverse: true,
        columnTitle: (k) => quoted(keys()[k]!),
        rowTitle: (q) => `${quoted(tokensOf(model, map())[q]!)}, position ${q}`,
      }),
    table: () => ({
      columns: ["layer", "head", "query", "key", "probability"],
      rows: map().probabilities.flatMap((row, q) =>
        row.map((p, k) => [map().layer, map().head, q, map().slot && k === 0 ? "slot" : k - (map().slot ? 1 : 0), p]),
      ),
    }),
  });
  const choice = select(
    "Map",
    model.maps.map(mapName),
    (i) => {
      state.map = i;
      chart.refresh();
    },
    first,
  );
  chart.figure.insertBefore(choice, chart.figure.children[1] ?? null);
  return chart;
}

export function attentionSection(all: ModelData[]): HTMLElement | null {
  const models = all.filter((model) => model.maps.length > 0);
  if (models.length === 0) return null;
  const figures = el("div", { class: "side-by-side" });
  for (const model of models) {
    const last = model.maps.length - 1;
    const first = model.maps[0]!;
    // Beside the earliest layer the latest with as many heads in it: before and after.
    const after = model.maps.map((map) => map.head === first.head).lastIndexOf(true);
    figures.append(mapChart(model, all.indexOf(model), 0, 0).figure);
    if (last > 0) figures.append(mapChart(model, all.indexOf(model), 1, after > 0 ? after : last).figure);
  }
  return el(
    "section",
    { id: "attention" },
    el("h2", {}, "Attention before and after"),
    el("p", {}, "How much each query (row) attends to each key (column). A bright column is a sink: almost every query looks there."),
    figures,
  );
}
