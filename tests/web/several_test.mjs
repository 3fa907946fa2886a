// Reports on several models, on parts, and on results that this program does not know.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { chartTable, freshFolder, harbour, json, massact, massactFails, openBrowser, openReport, planted, screenshot, showChart } from "./support.mjs";

test("models whose names differ only by case stand side by side on the same axes", async (t) => {
  const folder = freshFolder(t);
  for (const name of ["Model", "model"]) cpSync(planted, join(folder, name), { recursive: true });
  const out = join(folder, "out");
  massact("report", join(folder, "Model"), join(folder, "model"), ...harbour, "--out", out, "--quiet");
  const page = await openReport(await openBrowser(t), out);
  const titles = await page.locator("#layers h3").allInnerTexts();
  assert.equal(new Set(titles.map((title) => title.toLowerCase())).size, 2, titles.join());
  assert.deepEqual(await chartTable(page, "layers-0"), await chartTable(page, "layers-1"));
  const axis = async (id) => {
    await showChart(page, id);
    return page.evaluate((chart) => {
      const { min, max } = globalThis.massactCharts.get(chart).drawn().yAxis[0];
      return [min, max];
    }, id);
  };
  assert.deepEqual(await axis("layers-0"), await axis("layers-1"));
  assert.match(await page.locator("#comparison").innerText(), /largest \/ median/);
  await screenshot(page, "two-models", { fullPage: true });
  assert.deepEqual(page.complaints, []);
});

test("a newer result file costs its own part only, and says so", async (t) => {
  const folder = freshFolder(t);
  massact("scan", planted, ...harbour, "--out", join(folder, "results"), "--quiet");
  massact("ablate", planted, ...harbour, "--out", join(folder, "results"), "--quiet");
  const ablate = json(folder, "results/ablate.json");
  writeFileSync(join(folder, "results/ablate.json"), JSON.stringify({ ...ablate, schema_version: 7, massact_version: "9.9" }));
  rmSync(join(folder, "results/scan-window.json"));
  massact("report", join(folder, "results"), "--out", join(folder, "out"), "--quiet");
  const page = await openReport(await openBrowser(t), join(folder, "out"));
  const summary = await page.locator("#summary").innerText();
  assert.match(summary, /ablate.json has schema version 7, this massact reads version 1/);
  assert.match(summary, /there is no scan-window.json/);
  assert.equal(await page.locator("#ablation").count(), 0);
  assert.equal(await page.locator("#bars").count(), 0);
  assert.equal(await page.locator("#layers").count(), 1);
  assert.deepEqual(page.complaints, []);
});

test("a damaged part is named where it would stand", async (t) => {
  const folder = freshFolder(t);
  massact("scan", planted, ...harbour, "--out", join(folder, "results"), "--quiet");
  const scanWindow = json(folder, "results/scan-window.json");
  mkdirSync(join(folder, "results"), { recursive: true });
  writeFileSync(join(folder, "results/scan-window.json"), JSON.stringify({ ...scanWindow, texts: [{ sequence: 0 }] }));
  massact("report", join(folder, "results"), "--out", join(folder, "out"), "--quiet");
  const page = await openReport(await openBrowser(t), join(folder, "out"));
  assert.match(await page.locator("#text").innerText(), /could not be drawn/);
  assert.equal(await page.locator("#layers").count(), 1);
});

test("a step that failed is named where its part would stand", async (t) => {
  const folder = freshFolder(t);
  const text = join(folder, "short.txt");
  writeFileSync(text, readFileSync(harbour[1], "utf8").slice(0, 300));
  massact("report", planted, ...harbour, "--out", join(folder, "whole"), "--quiet");
  const said = massactFails("report", planted, join(folder, "whole/planted"), "--text", text, ...harbour.slice(2), "--out", folder, "--quiet");
  const why = said.match(/ablate failed: (.*)/)[1];
  const page = await openReport(await openBrowser(t), folder);
  const ablation = page.locator("#ablation");
  assert.ok((await ablation.locator("p.warning").innerText()).includes(why));
  assert.ok((await ablation.locator("figure").count()) > 0);
  assert.ok((await page.locator("#summary").innerText()).includes(`Failed: the ablation (${why})`));
  assert.equal(await page.locator("#explain p.warning").count(), 0);
  assert.deepEqual(page.complaints, []);
});

test("a part that no model has is still named if its step failed", async (t) => {
  const folder = freshFolder(t);
  const text = join(folder, "short.txt");
  writeFileSync(text, readFileSync(harbour[1], "utf8").slice(0, 300));
  massactFails("report", planted, "--text", text, ...harbour.slice(2), "--out", folder, "--quiet");
  const page = await openReport(await openBrowser(t), folder);
  assert.match(await page.locator("#ablation").innerText(), /the ablation failed/);
  assert.equal(await page.locator("nav a[href='#ablation']").count(), 1);
  await screenshot(page, "failed-step");
});
