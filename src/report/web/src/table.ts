// The numbers behind a chart: shown as a table, saved as CSV.
import { el } from "./dom";

export type Cell = string | number | null;

export interface Table {
  columns: string[];
  rows: Cell[][];
}

const kShownRows = 500;

function csvField(cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell === "number") return String(cell);
  return `"${cell.replace(/"/g, '""')}"`;
}

/** RFC 4180. */
export function toCsv(table: Table): string {
  const lines = [table.columns.map(csvField), ...table.rows.map((row) => row.map(csvField))];
  return lines.map((line) => line.join(",")).join("\r\n") + "\r\n";
}

export function toElement(table: Table): HTMLElement {
  const head = el("tr", {}, ...table.columns.map((name) => el("th", { scope: "col" }, name)));
  const body = el("tbody");
  for (const row of table.rows.slice(0, kShownRows)) {
    body.append(el("tr", {}, ...row.map((cell) => el("td", { class: typeof cell }, cell ?? ""))));
  }
  const rest = table.rows.length - kShownRows;
  return el(
    "div",
    { class: "scroll", tabindex: 0 },
    el("table", {}, el("thead", {}, head), body),
    rest > 0 ? el("p", { class: "note" }, `${rest} more rows in the CSV.`) : null,
  );
}
