// Elements out of values. Text only ever becomes text nodes: nothing from a result file is parsed
// as HTML anywhere in this page.

type Child = Node | string | number | null;
type Attributes = Record<string, string | number | boolean | ((event: Event) => void)>;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, ...children);
  return element;
}

export function append(parent: Element, ...children: Child[]): void {
  for (const child of children) {
    if (child !== null) parent.append(typeof child === "number" ? String(child) : child);
  }
}

/** A labelled choice. */
export function select(label: string, choices: string[], onChange: (index: number) => void, chosen = 0): HTMLElement {
  const control = el("select", { change: () => onChange(control.selectedIndex) });
  choices.forEach((choice, i) => control.append(el("option", { selected: i === chosen }, choice)));
  return el("label", { class: "control" }, `${label} `, control);
}

/** Rows of figures, a group per model: groups of one stand beside each other, larger ones on their own. */
export function charted(groups: HTMLElement[][]): HTMLElement[] {
  const row = (figures: HTMLElement[]) => el("div", { class: "side-by-side" }, ...figures);
  return groups.every((group) => group.length === 1) ? [row(groups.flat())] : groups.map(row);
}

/** Lines of `name: value` for a tooltip. */
export function tip(heading: string, rows: [string, string][]): HTMLElement {
  const list = el("div", { class: "tip" }, el("strong", {}, heading));
  for (const [name, value] of rows) list.append(el("div", {}, `${name} `, el("b", {}, value)));
  return list;
}
