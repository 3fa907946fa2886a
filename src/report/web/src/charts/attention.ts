// Attention probabilities of single heads, before and after the massive activations appear.
import { Chart } from "../chart";
import type { AttentionMap, ModelData } from "../data";
import { charted, el, select } from "../dom";
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
    title: `${model.label}: attention`,
    savedTitle: () => `${model.label}: attention, ${mapName(map())}`,
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

// How much the most looked-at key gets of a query's attention, averaged over all queries.
function strongestColumn(map: AttentionMap): number {
  const sums: number[] = [];
  for (const row of map.probabilities) row.forEach((p, k) => (sums[k] = (sums[k] ?? 0) + p));
  return Math.max(...sums) / map.probabilities.length;
}

// Of the layers that read the finding, the map with the clearest sink; else the last one.
function mapAfter(model: ModelData): number {
  const birth = model.explain?.findings.find((finding) => finding.birth)?.birth?.layer ?? model.maps[0]!.layer;
  const strength = model.maps.map((map, i) => (i > 0 && map.layer > birth ? strongestColumn(map) : -1));
  const best = strength.indexOf(Math.max(...strength));
  return strength[best]! >= 0 ? best : model.maps.length - 1;
}

export function attentionSection(all: ModelData[]): HTMLElement | null {
  const models = all.filter((model) => model.maps.length > 0);
  if (models.length === 0) return null;
  // Beside the earliest layer one that sees the finding, of as many heads: before and after.
  const groups = models.map((model) => {
    const after = mapAfter(model);
    const before = Math.max(0, model.maps.findIndex((map) => map.head === model.maps[after]!.head));
    const places = before === after ? [after] : [before, after];
    return places.map((map, place) => mapChart(model, all.indexOf(model), place, map).figure);
  });
  return el(
    "section",
    { id: "attention" },
    el("h2", {}, "Attention before and after"),
    el("p", {}, "How much each query (row) attends to each key (column). A bright column is a sink: almost every query looks there."),
    ...charted(groups),
  );
}
