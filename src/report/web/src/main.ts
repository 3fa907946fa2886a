import { charts } from "./chart";
import { ablationSection } from "./charts/ablation";
import { attentionSection } from "./charts/attention";
import { barsSection } from "./charts/bars3d";
import { constancySection } from "./charts/constancy";
import { explainSection } from "./charts/explain";
import { layersSection } from "./charts/layers";
import { picturesSection } from "./charts/pictures";
import { registersSection } from "./charts/registers";
import { trainingSection } from "./charts/training";
import { readReport, type Report } from "./data";
import { append, el } from "./dom";
import { detailsSection } from "./sections/details";
import { findingsSection } from "./sections/findings";
import { summarySection } from "./sections/summary";
import { textSection } from "./sections/text";
import { setUpTheme } from "./theme";

interface Part {
  id: string;
  name: string;
  make: (report: Report) => HTMLElement | null;
  /** The step of `massact report` whose results it shows first. */
  step?: string;
}

const kParts: Part[] = [
  { id: "summary", name: "Summary", make: summarySection },
  { id: "findings", name: "Findings", make: (r) => findingsSection(r.models), step: "scan" },
  { id: "bars", name: "3-D", make: (r) => barsSection(r.models) },
  { id: "layers", name: "Layers", make: (r) => layersSection(r.models) },
  { id: "text", name: "Text", make: (r) => textSection(r.models) },
  { id: "constancy", name: "Constancy", make: (r) => constancySection(r.models) },
  { id: "ablation", name: "Ablation", make: (r) => ablationSection(r.models), step: "ablate" },
  { id: "explain", name: "Bias", make: (r) => explainSection(r.models), step: "explain" },
  { id: "attention", name: "Attention", make: (r) => attentionSection(r.models) },
  { id: "pictures", name: "Pictures", make: (r) => picturesSection(r.models), step: "pictures" },
  { id: "registers", name: "Registers", make: (r) => registersSection(r.models), step: "registers" },
  { id: "training", name: "Training", make: (r) => trainingSection(r.models) },
  { id: "details", name: "Details", make: detailsSection },
];

// A result file that is damaged costs its own part of the page only, and visibly.
function makePart(part: Part, report: Report): HTMLElement | null {
  try {
    return part.make(report);
  } catch (error) {
    return el(
      "section",
      { id: part.id },
      el("h2", {}, part.name),
      el("p", { class: "warning" }, `This part could not be drawn: a result file is not as docs/schema says (${String(error)}).`),
    );
  }
}

// What a step that failed should have shown, named where it would stand.
function withFailures(part: Part, report: Report, made: HTMLElement | null): HTMLElement | null {
  const failed = report.models.flatMap((model) => model.missing.filter((gap) => gap.failed_step && gap.failed_step === part.step).map((gap) => ({ model, gap })));
  if (failed.length === 0) return made;
  const section = made ?? el("section", { id: part.id }, el("h2", {}, part.name));
  const lines = failed.map(({ model, gap }) => el("p", { class: "warning" }, `${model.label} is not here: ${gap.part} failed. ${gap.why}`));
  section.querySelector("h2")!.after(...lines);
  return section;
}

// Paper has no scrolling: every chart is drawn, and what is folded is opened as long as it takes.
function setUpPrinting(): void {
  const opened: HTMLDetailsElement[] = [];
  addEventListener("beforeprint", () => {
    charts.forEach((chart) => chart.preparePrint());
    for (const details of document.querySelectorAll<HTMLDetailsElement>("main details:not([open])")) {
      details.open = true;
      opened.push(details);
    }
  });
  addEventListener("afterprint", () => {
    charts.forEach((chart) => chart.endPrint());
    for (const details of opened.splice(0)) details.open = false;
  });
}

function main(): void {
  const report = readReport();
  const names = report.models.map((model) => model.label).join(", ");
  document.title = `massact: ${names}`;
  const toggle = setUpTheme(() => charts.forEach((chart) => chart.refresh()));
  const nav = el("nav", { "aria-label": "Parts of the report" });
  const main = document.getElementById("report")!;
  append(
    main,
    el("header", {}, el("h1", {}, "Massive activations"), el("p", {}, names), el("button", { type: "button", id: "theme", click: toggle }, "light / dark")),
    nav,
  );
  for (const part of kParts) {
    const section = withFailures(part, report, makePart(part, report));
    if (!section) continue;
    nav.append(el("a", { href: `#${part.id}` }, part.name));
    main.append(section);
  }
  setUpPrinting();
  (globalThis as { massactCharts?: typeof charts }).massactCharts = charts;
}

main();
