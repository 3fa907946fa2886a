// Test-time registers on the page: outlier patches before and after, and what the model answers.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { chartTable, freshFolder, json, massact, openBrowser, openReport, screenshot, showChart, source } from "./support.mjs";

const planted = join(source, "tests/golden/planted-vit");
const images = ["--images", join(planted, "images/list.csv")];

// A table's cells by variant and column, as numbers before any ±.
function cellsOf(page, kind) {
  return page.evaluate((name) => {
    const table = document.querySelector(`table.registers.${name}`);
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    const row = (line) => Object.fromEntries([...line.cells].slice(1).map((cell, i) => [names[i + 1], parseFloat(cell.textContent.replace(/[,<]/g, ""))]));
    return Object.fromEntries([...table.tBodies[0].rows].map((line) => [line.cells[0].textContent, row(line)]));
  }, kind);
}

const close = (a, b) => assert.ok(Math.abs(a - b) <= 1e-3 * Math.abs(b) + 1e-9, `${a} is not ${b}`);

test("outliers, attention and answers of every variant stand side by side", async (t) => {
  const folder = freshFolder(t);
  massact("report", join(planted, "model"), ...images, "--out", folder, "--quiet");
  const registers = json(folder, "model/registers.json");
  const page = await openReport(await openBrowser(t), folder);
  const study = registers.test_time;
  const cells = await cellsOf(page, "patches");
  const answers = await cellsOf(page, "answers");
  for (const table of [cells, answers]) assert.deepEqual(Object.keys(table), registers.variants.map((variant) => variant.name));
  for (const [i, variant] of registers.variants.entries()) {
    const shown = cells[variant.name];
    const patches = study.variants[i];
    close(shown["outliers per image"], patches.outliers.value);
    close(shown["longest patch"], patches.largest_norm.value);
    const added = 100 * patches.attention.added.value;
    if (added === 0 || added > 0.1) close(shown["… to the added token"] || 0, added);
    close(answers[variant.name]["top-1"], 100 * variant.measures.images.top1.value);
    if (variant.measures.divergence) close(answers[variant.name]["mean KL"], variant.measures.divergence.mean_kl.value);
  }
  assert.equal(cells["original"]["outliers per image"], 1.5);
  assert.equal(cells["test-time registers"]["outliers per image"], 0);
  assert.equal(answers["neurons zero"]["top-1"], 25);
  await showChart(page, "outliers-0");
  const layers = await chartTable(page, "outliers-0");
  assert.deepEqual(layers.rows, study.layers.map((l) => [l.layer, l.median_norm, l.largest_norm, l.outliers, l.kept]));
  assert.match(await page.locator("#registers .verdict").innerText(), /1\.5 ± .* per image behind layer 2.*1 neuron of layers 1 to 2.*layer 2, 13/);
  await page.locator("table.answers").scrollIntoViewIfNeeded();
  await screenshot(page, "registers");
  assert.deepEqual(page.complaints, []);
});

test("without outliers the page says so, and with own registers it shows what fixing them does", async (t) => {
  const folder = freshFolder(t);
  massact("registers", join(planted, "model"), ...images, "--outlier-norm", "1e9", "--out", join(folder, "none"), "--quiet");
  massact("registers", join(source, "models/mini-vit-reg"), ...images, "--out", join(folder, "own"), "--quiet");
  massact("report", join(folder, "none"), join(folder, "own"), "--out", join(folder, "out"), "--quiet");
  const page = await openReport(await openBrowser(t), join(folder, "out"));
  const section = page.locator("#registers");
  assert.match(await section.locator(".verdict").innerText(), /No patch .* of at least length .*nothing to move/);
  assert.equal(await section.locator("table.patches").count(), 1);
  assert.match(await section.locator("table.answers").last().innerText(), /fix-reg-mean/);
  assert.deepEqual(page.complaints, []);
});
