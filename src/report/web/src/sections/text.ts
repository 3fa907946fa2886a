// The text itself, with the tokens that carry a finding marked.
import { bestSet, type Finding, type ModelData } from "../data";
import { append, el, select } from "../dom";
import { classInWords, exact, number } from "../format";

interface Mark {
  finding: Finding;
  value: number;
}

function marksOf(findings: Finding[], sequence: number): Map<number, Mark[]> {
  const marks = new Map<number, Mark[]>();
  for (const finding of findings) {
    for (const value of finding.values) {
      if (value.sequence !== sequence) continue;
      const there = marks.get(value.position) ?? [];
      there.push({ finding, value: value.value });
      marks.set(value.position, there);
    }
  }
  return marks;
}

function markedText(tokens: string[], marks: Map<number, Mark[]>): HTMLElement {
  const text = el("p", { class: "tokens" });
  tokens.forEach((token, position) => {
    const here = marks.get(position);
    if (!here) {
      append(text, token);
      return;
    }
    const title = here
      .map(({ finding, value }) => `position ${position}, dimension ${finding.dimension} (${classInWords(finding.position_class)}): ${exact(value)}, layer ${finding.peak_layer}`)
      .join("\n");
    const massive = here.some(({ finding }) => finding.label === "massive");
    const largest = here.reduce((a, b) => (Math.abs(b.value) > Math.abs(a.value) ? b : a));
    text.append(
      el("mark", { title, class: massive ? "massive" : "other", tabindex: 0 }, token.trim() === "" ? JSON.stringify(token).slice(1, -1) : token, el("sup", {}, number(largest.value))),
    );
  });
  return text;
}

function textFigure(model: ModelData): HTMLElement {
  const texts = model.window!.texts;
  const findings = bestSet(model.scan!).findings;
  const host = el("div");
  const show = (i: number) => host.replaceChildren(markedText(texts[i]!.tokens, marksOf(findings, texts[i]!.sequence)));
  show(0);
  return el(
    "figure",
    {},
    el("figcaption", {}, el("h3", {}, model.label), select("Sequence", texts.map((text) => String(text.sequence)), show)),
    host,
  );
}

export function textSection(models: ModelData[]): HTMLElement | null {
  // Patches are shown where they are: over the pictures.
  const shown = models.filter((model) => model.scan && model.window && model.window.texts.length > 0 && !model.pictures);
  if (shown.length === 0) return null;
  return el(
    "section",
    { id: "text" },
    el("h2", {}, "Where the tokens are"),
    el("p", {}, "The beginning of the sequences that were read. Marked tokens carry a finding, with its largest value at the layer where it is strongest; dotted marks are not massive."),
    el("div", { class: "side-by-side" }, ...shown.map(textFigure)),
  );
}
