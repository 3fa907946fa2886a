// All findings of all models: sorted by any column, filtered by any text.
import { bestSet, type Finding, type ModelData } from "../data";
import { append, el } from "../dom";
import { classInWords, exact, number, percent, quoted } from "../format";
import { saveText } from "../save";
import { toCsv, type Table } from "../table";

interface Row {
  model: string;
  finding: Finding;
}

interface Column {
  name: string;
  /** What is sorted by. */
  key: (row: Row) => number | string;
  /** What is shown. */
  text: (row: Row) => string;
  /** Text that is sorted by a number. */
  prose?: boolean;
}

const kColumns: Column[] = [
  { name: "label", key: (r) => r.finding.label, text: (r) => r.finding.label },
  { name: "dimension", key: (r) => r.finding.dimension, text: (r) => String(r.finding.dimension) },
  { name: "kind of token", key: (r) => r.finding.position_class, text: (r) => classInWords(r.finding.position_class) },
  { name: "token", key: (r) => r.finding.token, text: (r) => quoted(r.finding.token) },
  { name: "layers", key: (r) => r.finding.first_layer, text: (r) => (r.finding.first_layer === r.finding.last_layer ? String(r.finding.first_layer) : `${r.finding.first_layer} to ${r.finding.last_layer}`) },
  { name: "strongest at", key: (r) => r.finding.peak_layer, text: (r) => String(r.finding.peak_layer) },
  { name: "mean", key: (r) => r.finding.mean, text: (r) => number(r.finding.mean) },
  { name: "σ", key: (r) => r.finding.sigma, text: (r) => number(r.finding.sigma) },
  { name: "× median", key: (r) => r.finding.ratio ?? Infinity, text: (r) => number(r.finding.ratio) },
  { name: "sequences", key: (r) => r.finding.sequence_share, text: (r) => percent(r.finding.sequence_share) },
  {
    name: "example",
    prose: true,
    key: (r) => r.finding.example.sequence,
    text: (r) => `${r.finding.example.before}[${r.finding.example.token}]${r.finding.example.after}`,
  },
];

function compare(a: number | string, b: number | string): number {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

function cells(row: Row, columns: Column[]): HTMLElement {
  const line = el("tr", {});
  for (const column of columns) {
    const numeric = !column.prose && typeof column.key(row) === "number";
    const title = column.name === "mean" ? exact(row.finding.mean) : column.name === "σ" ? exact(row.finding.sigma) : "";
    line.append(el("td", { class: numeric ? "number" : "text", title }, column.text(row)));
  }
  return line;
}

function tableOf(rows: Row[], columns: Column[]): Table {
  return { columns: columns.map((c) => c.name), rows: rows.map((row) => columns.map((c) => c.text(row))) };
}

export function findingsSection(models: ModelData[]): HTMLElement | null {
  const scanned = models.filter((model) => model.scan);
  if (scanned.length === 0) return null;
  const rows = scanned.flatMap((model) => bestSet(model.scan!).findings.map((finding) => ({ model: model.label, finding })));
  const modelColumn: Column = { name: "model", key: (r) => r.model, text: (r) => r.model };
  const columns = scanned.length > 1 ? [modelColumn, ...kColumns] : kColumns;
  const state = { sorted: -1, falling: true, filter: "" };

  const body = el("tbody");
  const count = el("output", {});
  const heads = columns.map((column, i) =>
    el("th", { scope: "col" }, el("button", { type: "button", click: () => sortBy(i) }, column.name)),
  );
  const shownRows = () => {
    const wanted = state.filter.toLowerCase();
    const shown = rows.filter((row) => columns.some((c) => c.text(row).toLowerCase().includes(wanted)));
    if (state.sorted < 0) return shown;
    const key = columns[state.sorted]!.key;
    return shown.sort((a, b) => compare(key(a), key(b)) * (state.falling ? -1 : 1));
  };
  const draw = () => {
    const shown = shownRows();
    body.replaceChildren(...shown.map((row) => cells(row, columns)));
    count.textContent = `${shown.length} of ${rows.length}`;
    heads.forEach((head, i) => {
      if (i === state.sorted) head.setAttribute("aria-sort", state.falling ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  };
  const sortBy = (i: number) => {
    state.falling = state.sorted === i ? !state.falling : true;
    state.sorted = i;
    draw();
  };
  const filter = el("input", {
    type: "search",
    id: "filter",
    placeholder: "massive, start, 1415 …",
    input: () => {
      state.filter = filter.value;
      draw();
    },
  });
  const save = el("button", { type: "button", click: () => saveText("findings.csv", "text/csv", toCsv(tableOf(shownRows(), columns))) }, "CSV");
  draw();

  const rules = scanned.map((model) => `${scanned.length > 1 ? model.label + ": " : ""}${ruleInWords(model)}`).join(" ");
  const section = el("section", { id: "findings" }, el("h2", {}, "Findings"), el("p", {}, rules));
  append(
    section,
    el("div", { class: "controls" }, el("label", { class: "control" }, "Filter ", filter), count, save),
    el("div", { class: "scroll", tabindex: 0 }, el("table", { class: "findings" }, el("thead", {}, el("tr", {}, ...heads)), body)),
  );
  return section;
}

function ruleInWords(model: ModelData): string {
  const scan = model.scan!;
  const asked = scan.findings;
  if (asked.findings.length > 0) return `By the rule ${asked.rule}.`;
  if (scan.automatic && scan.automatic.findings.length > 0) return `The rule ${asked.rule} found nothing; these are by the rule auto.`;
  return `The rule ${asked.rule}${scan.automatic ? " and the rule auto" : ""} found nothing; these are the largest values, and not massive.`;
}
