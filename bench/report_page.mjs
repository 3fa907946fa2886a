// How fast the page of a large report is: 32 layers, 100 sequences, 12 findings, width 4096.
//   node bench/report_page.mjs build/release
// Makes result files of that size, times `massact report` on them, then opens the page in headless
// Chromium (software rendering) and times opening, the first chart and a step of the layer slider.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { pathToFileURL } from "node:url";

const kLayers = 32;
const kSequences = 100;
const kFindings = 12;
const kTokens = 64;
const kDimensions = 24;

const build = resolve(process.argv[2] ?? "build/release");
const { chromium } = createRequire(join(build, "web/package.json"))("playwright-core");

const model = { path: "Synthetic-7B", family: "llama", hash: "0123456789abcdef", layers: kLayers, width: 4096 };
const head = (schema) => ({ schema: `massact.${schema}`, schema_version: 1, massact_version: "0.1.0", model });
const array = (count, of) => Array.from({ length: count }, (_, i) => of(i));
const noise = (i) => Math.fround(Math.abs(Math.sin(i * 12.9898) * 0.7));
const size = (layer) => (layer < 2 || layer === kLayers ? 3 : 2300);
const run = { text: "book.txt", bos: true, seq_len: 2048, sequences: kSequences, tokens: 204800, precision: "bf16", threads: 2, passes: 1, seconds: 2000 };

const finding = (i) => ({
  dimension: 100 + 300 * i, position_class: ["start", "first_delimiter", "weak"][i % 3], label: "massive",
  first_layer: 2, last_layer: 31, peak_layer: 16, scalars: kSequences, mean: 2300 - 100 * i, sigma: 12.5, cv: 0.005,
  max_abs: 2400, ratio: 9000, sequence_share: 1, token: "<s>", token_id: 1, token_share: 1,
  example: { sequence: 0, position: 0, token_id: 1, token: "<s>", before: "", after: " The text goes on", value: 2400 },
  layers: array(30, (l) => ({ layer: l + 2, scalars: 100, sequences: 100, mean: 2300, sigma: 12, cv: 0.005, max_abs: 2400, ratio: 9000 })),
  values: array(kSequences, (s) => ({ sequence: s, position: i % 3, value: 2300 - 100 * i + noise(s) })),
});
const scan = {
  ...head("scan"), run, quantile_levels: [0.5],
  layers: array(kLayers + 1, (layer) => ({
    layer, top: [size(layer), size(layer) / 2, size(layer) / 3], median: 0.2, median_pooled: 0.2, quantiles: [0.2], quantiles_pooled: [0.2],
    max_abs: size(layer), max_over_median: size(layer) / 0.2, mean_abs: 0.25, kurtosis: 10, excess_kurtosis: 7, strict_count: 12,
    largest: array(16, (i) => ({ value: size(layer) - i, sequence: i, position: 0, dimension: 100, token_id: 1, token: "<s>", position_class: "start", ratio: 9000 })),
    sequences: array(kSequences, (sequence) => ({ sequence, top: [size(layer), 1, 1], median: 0.2 })),
  })),
  findings: { rule: "strict", findings: array(kFindings, finding), gaps: [], truncated: 0 },
  automatic: null, candidates: null, outlier_features: [], warnings: [],
};
const text = (count) => array(count, (i) => [" the", " lamp", ".", " harbour", " of"][i % 5]);
const window = {
  ...head("scan-window"), sequence: 0, tokens: text(kTokens), position_classes: array(kTokens, () => "other"),
  dimensions: array(kDimensions, (i) => ({ dimension: 170 * i, has_finding: i % 4 === 0 })),
  layers: array(kLayers + 1, (layer) => ({
    layer, values: array(kTokens, (t) => array(kDimensions, (d) => (t === 0 && d % 4 === 0 ? size(layer) : noise(layer + 31 * t + 7 * d)))),
  })),
  texts: array(8, (sequence) => ({ sequence, tokens: text(256) })),
};
const estimate = (value, error) => ({ value, error });
const ablate = {
  ...head("ablate"), run: { tokens: 204800, precision: "bf16", threads: 2, passes: 1, seconds: 900 },
  split: { calibration: "a", evaluation: "b", calibration_windows: 20, calibration_tokens: 40960, overlap: 0 },
  targets: { rule: "strict", label: "massive", layer: 2, list: [] }, selector: "found",
  texts: [{ convention: "hf", source: "book.txt", seq_len: 2048, bos: true, windows: 80, whole_text: true, words: 1, bytes: 1 }], tasks: [],
  variants: ["original", "zero", "mean", "random", "near_median"].map((kind, i) => ({
    name: kind, kind, description: "", layer: 2, factor: null, scalars: 100,
    measures: { perplexities: [{ convention: "hf", loss: estimate(2, 0.1), perplexity: estimate(i === 1 ? 8000 : 5.5, 0.2) }], accuracies: [], divergence: null },
  })),
  forward_passes: 5, verdicts: ["Zeroing multiplies perplexity by 1455."], warnings: [],
};

const folder = mkdtempSync(join(tmpdir(), "massact-bench-"));
const results = join(folder, "Synthetic-7B");
mkdirSync(results);
for (const [name, value] of Object.entries({ scan, "scan-window": window, ablate })) {
  writeFileSync(join(results, `${name}.json`), JSON.stringify(value));
}
const out = join(folder, "out");
const started = performance.now();
const written = spawnSync(join(build, "bin/massact"), ["report", results, "--out", out, "--quiet"], { encoding: "utf8" });
if (written.status !== 0) throw new Error(written.stderr);
const report = join(out, "report.html");
console.log(`writing page and figures: ${((performance.now() - started) / 1000).toFixed(2)} s, page ${(statSync(report).size / 1e6).toFixed(2)} MB`);

const executablePath = spawnSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).stdout.trim();
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
const seconds = async (name, work) => {
  const from = performance.now();
  await work();
  console.log(`${name}: ${((performance.now() - from) / 1000).toFixed(2)} s`);
};
const painted = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
const drawn = (id) => page.waitForFunction((chart) => globalThis.massactCharts.get(chart).drawn() !== null, id);
await seconds("opening", async () => {
  await page.goto(pathToFileURL(report).href);
  await painted();
});
await seconds("3-D bars", async () => {
  await page.locator("#bars-0").scrollIntoViewIfNeeded();
  await drawn("bars-0");
  await painted();
});
await seconds("ten steps of the layer slider", async () => {
  for (let layer = 1; layer <= 10; ++layer) await page.locator("#layer").fill(String(layer));
  await painted();
});
await seconds("all other charts", async () => {
  for (const id of await page.evaluate(() => [...globalThis.massactCharts.keys()])) {
    await page.locator(`#${id}`).scrollIntoViewIfNeeded();
    await drawn(id);
  }
  await painted();
});
await browser.close();
rmSync(folder, { recursive: true });
