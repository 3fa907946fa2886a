// How every number was made, so that anyone can repeat it.
import type { Report, ResultFile } from "../data";
import { append, el } from "../dom";
import { number } from "../format";

const kGiB = 2 ** 30;

function flatten(prefix: string, value: unknown, rows: [string, string][]): void {
  if (value === null || typeof value !== "object") {
    rows.push([prefix, String(value)]);
    return;
  }
  for (const [name, inner] of Object.entries(value)) flatten(prefix ? `${prefix} ${name}` : name, inner, rows);
}

function rowsOf(file: ResultFile): [string, string][] {
  const rows: [string, string][] = [];
  const machine = file.origin?.machine;
  if (file.origin) rows.push(["command", file.origin.command], ["written", file.origin.written]);
  if (machine) rows.push(["machine", `${machine.cpu}, ${machine.cores} CPUs, ${number(machine.memory_bytes / kGiB)} GiB, ${machine.system}`]);
  rows.push(["file", `${file.schema}, version ${file.schema_version}, by massact ${file.massact_version}`]);
  flatten("model", file.model, rows);
  flatten("", file.run ?? {}, rows);
  const ablate = file as { split?: unknown; selector?: unknown };
  if (ablate.split) flatten("split", ablate.split, rows);
  for (const warning of file.warnings ?? []) rows.push(["warning", warning]);
  return rows;
}

function detailsOf(name: string, file: ResultFile): HTMLElement {
  const body = el("tbody");
  for (const [key, value] of rowsOf(file)) body.append(el("tr", {}, el("th", { scope: "row" }, key), el("td", {}, value)));
  return el("details", {}, el("summary", {}, name), el("div", { class: "scroll", tabindex: 0 }, el("table", {}, body)));
}

export function detailsSection(report: Report): HTMLElement {
  const section = el("section", { id: "details" }, el("h2", {}, "How this was measured"));
  append(
    section,
    el("p", {}, `massact ${report.massact_version}, ${report.created}`),
    el("p", {}, el("code", {}, report.command)),
  );
  for (const model of report.models) {
    const parts: [string, ResultFile | null][] = [
      ["scan", model.scan],
      ["ablate", model.ablate],
      ["explain", model.explain],
      ["registers", model.registers],
    ];
    for (const [name, file] of parts) {
      if (file) section.append(detailsOf(`${model.label}: ${name}`, file));
    }
    section.append(el("p", { class: "note" }, `${model.label}: ${model.source}`));
  }
  return section;
}
