// Colours. Categories: Okabe and Ito's, told apart with every common colour blindness; magnitudes:
// cividis, perceptually uniform and the same to colour-blind eyes.

export interface Theme {
  dark: boolean;
  background: string;
  text: string;
  muted: string;
  line: string;
  categories: string[];
}

const kLight = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#3b3b9e", "#555555"];
const kDark = ["#56b4e9", "#e69f00", "#2fc99b", "#e79cc4", "#f0e442", "#a6a6ff", "#bbbbbb"];

const kPlus = "path://M-1,-3h2v2h2v2h-2v2h-2v-2h-2v-2h2z";
const kCross = "path://M-3,-2L-2,-3L0,-1L2,-3L3,-2L1,0L3,2L2,3L0,1L-2,3L-3,2L-1,0z";
const kDownward = "path://M-3,-3L3,-3L0,3z";

/** Also told apart by shape; all stand with their middle on the value (not so ECharts' arrow and pin). */
export const kSymbols = ["circle", "rect", "triangle", "diamond", kPlus, kDownward, kCross];

export const kCividis = [
  "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838",
];

const kStorageKey = "massact-theme";

export function themeOf(dark: boolean): Theme {
  return dark
    ? { dark, background: "#16191d", text: "#e8eaed", muted: "#a3abb5", line: "#3a4048", categories: kDark }
    : { dark, background: "#ffffff", text: "#1c1f23", muted: "#59626d", line: "#d5dae0", categories: kLight };
}

export function currentTheme(): Theme {
  const chosen = document.documentElement.dataset.theme;
  return themeOf(chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
}

/** Switches between light and dark; `onChange` also runs when the system's preference changes. */
export function setUpTheme(onChange: () => void): () => void {
  const apply = (dark: boolean) => (document.documentElement.dataset.theme = dark ? "dark" : "light");
  try {
    const kept = localStorage.getItem(kStorageKey);
    if (kept !== null) apply(kept === "dark");
  } catch {
    // A file:// page may have no storage: then the choice lasts as long as the page.
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
  return () => {
    apply(!currentTheme().dark);
    try {
      localStorage.setItem(kStorageKey, currentTheme().dark ? "dark" : "light");
    } catch {
      // as above
    }
    onChange();
  };
}
