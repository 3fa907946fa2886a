// Texts that would like to be more than text: in tokens, names, paths and messages.
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { freshFolder, harbour, json, massact, openBrowser, openReport, planted, showChart } from "./support.mjs";

const kHostile = `</script><img src=x onerror="globalThis.broken=1">'"&lt;\u2028<!--{{x}}`;

// Every string of a result file becomes hostile, except those that programs read.
function poison(value, key = "") {
  const read = ["schema", "hash", "label", "position_class", "kind", "convention", "selector", "massact_version", "probabilities", "logits", "pictures", "precision", "name"];
  if (typeof value === "string") return read.includes(key) ? value : kHostile + value;
  if (Array.isArray(value)) return value.map((item) => poison(item, key));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, poison(inner, name)]));
}

test("hostile texts stay text", async (t) => {
  const folder = freshFolder(t);
  massact("report", planted, ...harbour, "--out", folder, "--quiet");
  const results = join(folder, `it's "quoted" <b>&amp; $(touch x) \`touch y\``);
  mkdirSync(results);
  for (const name of ["scan.json", "scan-window.json", "ablate.json", "explain.json"]) {
    writeFileSync(join(results, name), JSON.stringify(poison(json(folder, "planted", name))));
  }
  const out = join(folder, "out");
  massact("report", results, "--out", out, "--quiet");

  const page = await openReport(await openBrowser(t), out);
  for (const id of await page.evaluate(() => [...globalThis.massactCharts.keys()])) {
    await showChart(page, id);
    await page.locator(`#${id}`).getByRole("button", { name: /^Show the numbers/ }).click();
    // Tooltips are built from the same texts.
    await page.evaluate((chart) => {
      const option = globalThis.massactCharts.get(chart).drawn();
      const data = option.series[0].data[0];
      const tip = option.tooltip[0].trigger === "axis" ? [{ value: data, dataIndex: 0, seriesName: "x" }] : { data };
      document.body.append(option.tooltip[0].formatter(tip));
    }, id);
  }
  assert.equal(await page.locator("img").count(), 0);
  assert.equal(await page.evaluate(() => globalThis.broken), undefined);
  assert.deepEqual(page.complaints, []);
  assert.deepEqual(page.requests, [page.url()]);
  const text = await page.evaluate(() => document.body.innerText);
  assert.ok(text.includes(kHostile.slice(0, 40)));
  assert.ok(text.includes(`it's "quoted" <b>&amp; $(touch x)`));
});

test("the static figures draw hostile texts", (t) => {
  const folder = freshFolder(t);
  massact("report", planted, ...harbour, "--out", folder, "--quiet");
  const results = join(folder, "hostile");
  mkdirSync(results);
  for (const name of ["scan.json", "scan-window.json", "ablate.json", "explain.json"]) {
    writeFileSync(join(results, name), JSON.stringify(poison(json(folder, "planted", name))));
  }
  copyFileSync(join(folder, "planted/scan-layers.csv"), join(results, "scan-layers.csv"));
  const outcome = massact("report", results, "--out", join(folder, "out"));
  assert.doesNotMatch(outcome.stderr, /left out: (?!.*gnuplot is not installed)/);
  if (/gnuplot is not installed/.test(outcome.stderr)) return;
  const svg = readFileSync(join(folder, "out/figures/hostile-bars.svg"), "utf8");
  assert.ok(svg.includes("&lt;/script"));
  assert.ok(!svg.includes("<img"));
});
