// Numbers and tokens for people.

const kLarge = 1e5;
const kSmall = 1e-3;

/** Four significant digits; thousands are grouped. */
export function number(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const abs = Math.abs(value);
  if (abs !== 0 && (abs >= kLarge * 100 || abs < kSmall)) return value.toExponential(2);
  return value.toLocaleString("en", { maximumSignificantDigits: abs >= 1000 ? 6 : 4 });
}

/** A tick of a linear axis: as many digits as tell it from the next one. */
export function tick(value: number): string {
  const abs = Math.abs(value);
  if (abs !== 0 && (abs >= kLarge * 100 || abs < kSmall / 10)) return value.toExponential();
  return value.toLocaleString("en", { maximumSignificantDigits: 12 });
}

export function withError(value: number, error: number | null): string {
  return error === null ? number(value) : `${number(value)} ± ${number(error)}`;
}

export function percent(share: number): string {
  return `${number(100 * share)} %`;
}

/** As it stands in the file: every digit. */
export function exact(value: number | null): string {
  return value === null ? "none" : String(value);
}

/** A token as one visible word: for axes. */
export function shortToken(token: string, length = 12): string {
  const shown = token.replace(/\n/g, "⏎").replace(/\t/g, "⇥").trim() || "␣";
  return shown.length > length ? shown.slice(0, length - 1) + "…" : shown;
}

/** A token exactly, in quotes: for tooltips and tables. */
export function quoted(token: string): string {
  return JSON.stringify(token);
}

export function plural(count: number, one: string, many = one + "s"): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** "layer 3", "layers 3 to 7". */
export function layerRange(first: number, last: number): string {
  return first === last ? `layer ${first}` : `layers ${first} to ${last}`;
}

export function classInWords(name: string): string {
  return name.replace("_", " ");
}
