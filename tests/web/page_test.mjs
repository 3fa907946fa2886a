// The page of a real report in a real browser: it opens alone, and shows what the files say.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { chartTable, freshFolder, harbour, json, massact, openBrowser, openReport, planted, screenshot, showChart } from "./support.mjs";

let folder;
let scan;
let ablate;
let scanWindow;
let explain;

before((t) => {
  folder = freshFolder(t);
  massact("report", planted, ...harbour, "--out", folder, "--quiet");
  scan = json(folder, "planted/scan.json");
  ablate = json(folder, "planted/ablate.json");
  scanWindow = json(folder, "planted/scan-window.json");
  explain = json(folder, "planted/explain.json");
});

test("opens from disk without errors and asks for nothing", async (t) => {
  const page = await openReport(await openBrowser(t), folder);
  for (const id of await page.evaluate(() => [...globalThis.massactCharts.keys()])) await showChart(page, id);
  assert.deepEqual(page.complaints, []);
  assert.deepEqual(page.requests.filter((url) => !/^(data|blob):/.test(url)), [page.url()]);
  assert.match(await page.locator("#summary").innerText(), /Massive activations, by the rule strict: dimension 19/);
  await screenshot(page, "whole-page", { fullPage: true });
});

test("every chart shows the numbers of the result files", async (t) => {
  const page = await openReport(await openBrowser(t), folder);
  const layers = await chartTable(page, "layers-0");
  assert.deepEqual(layers.rows, scan.layers.map((row) => [row.layer, ...row.top, row.median]));
  const constancy = await chartTable(page, "constancy-0");
  assert.deepEqual(
    constancy.rows,
    scan.findings.findings.slice(0, 10).flatMap((f) => f.values.map((v) => [f.dimension, f.position_class, v.sequence, v.position, v.value])),
  );
  const ablation = await chartTable(page, "ablation-0-perplexity-0");
  assert.deepEqual(
    ablation.rows.map((row) => [row[0], row[4], row[5]]),
    ablate.variants.map((v) => [v.name, v.measures.perplexities[0].perplexity.value, v.measures.perplexities[0].perplexity.error]),
  );
  const bias = await chartTable(page, "bias-0");
  assert.deepEqual(bias.rows, explain.bias.map((row) => [row.layer, row.share, row.constant_share, row.slot_share]));
  const writes = await chartTable(page, "writes-0");
  assert.deepEqual(writes.rows, explain.findings.flatMap((f) => f.layers.map((l) => [f.finding, l.layer, l.value, l.attention, l.mlp])));
  const sinks = await chartTable(page, "sinks-0");
  assert.deepEqual(
    sinks.rows,
    explain.sinks.layers.flatMap((layer) => layer.heads.flatMap((h) => h.classes.map((c) => [layer.layer, h.head, c.class, c.probability]))),
  );
  const attention = await chartTable(page, "attention-0-0");
  const rows = new Map();
  for (const [, , query, , probability] of attention.rows) rows.set(query, (rows.get(query) ?? 0) + probability);
  assert.equal(rows.size, 64);
  for (const sum of rows.values()) assert.ok(Math.abs(sum - 1) < 0.01, String(sum));
  // What is drawn is what the table says.
  await showChart(page, "layers-0");
  const drawn = await page.evaluate(() => globalThis.massactCharts.get("layers-0").drawn().series.map((s) => s.data));
  assert.deepEqual(drawn[0], scan.layers.map((row) => [row.layer, row.top[0]]));
  assert.deepEqual(drawn[3], scan.layers.map((row) => [row.layer, row.median]));
});

test("the slider changes the 3-D view", async (t) => {
  const page = await openReport(await openBrowser(t), folder);
  await showChart(page, "bars-0");
  const heights = () => page.evaluate(() => globalThis.massactCharts.get("bars-0").drawn().series[0].data.map((bar) => bar.exact));
  const type = await page.evaluate(() => globalThis.massactCharts.get("bars-0").drawn().series[0].type);
  assert.equal(type, "bar3D");
  const tokens = Number(await page.locator("#tokens").inputValue());
  for (const layer of [0, 3]) {
    await page.locator("#layer").fill(String(layer));
    const expected = scanWindow.layers[layer].values.slice(0, tokens).flat();
    assert.deepEqual(await heights(), expected);
    assert.match(await page.locator("#bars output").first().innerText(), new RegExp(`^${layer} of 6`));
  }
  // With the keyboard alone.
  await page.locator("#layer").focus();
  await page.keyboard.press("ArrowRight");
  assert.deepEqual(await heights(), scanWindow.layers[4].values.slice(0, tokens).flat());
  await page.locator("#bars").screenshot();
  await screenshot(page, "bars");
  assert.deepEqual(page.complaints, []);
});

test("the findings sort and filter", async (t) => {
  const page = await openReport(await openBrowser(t), folder);
  const findings = scan.findings.findings;
  const column = (name) => page.evaluate((wanted) => {
    const table = document.querySelector("table.findings");
    const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === wanted);
    return [...table.tBodies[0].rows].map((row) => row.cells[at].title || row.cells[at].textContent);
  }, name);
  assert.deepEqual((await column("mean")).map(Number), findings.map((f) => f.mean));
  await page.getByRole("button", { name: "mean", exact: true }).click();
  assert.deepEqual((await column("mean")).map(Number), findings.map((f) => f.mean).sort((a, b) => b - a));
  await page.getByRole("button", { name: "mean", exact: true }).click();
  assert.deepEqual((await column("mean")).map(Number), findings.map((f) => f.mean).sort((a, b) => a - b));
  await page.locator("#filter").fill("start");
  assert.equal((await column("mean")).length, findings.filter((f) => f.position_class === "start").length);
  await page.locator("#filter").fill("no such thing");
  assert.deepEqual(await column("mean"), []);
});

test("a tooltip has the exact number and the token", async (t) => {
  const page = await openReport(await openBrowser(t), folder);
  await page.locator("#flat").check();
  await showChart(page, "bars-0");
  const tip = await page.evaluate(() => {
    const option = globalThis.massactCharts.get("bars-0").drawn();
    const series = option.series[0];
    return option.tooltip[0].formatter({ data: series.data[0] }).textContent;
  });
  const first = scanWindow.layers.find((row) => row.layer === scan.findings.findings[0].peak_layer).values[0][0];
  assert.ok(tip.includes(String(Math.abs(first))), tip);
  assert.ok(tip.includes(JSON.stringify(scanWindow.tokens[0])), tip);
});

// How many colours the lower three quarters of a picture have: below its title.
function coloursOf(page, png) {
  return page.evaluate(async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const top = Math.floor(image.height / 4);
    return new Set(new Uint32Array(context.getImageData(0, top, image.width, image.height - top).data.buffer)).size;
  }, `data:image/png;base64,${png.toString("base64")}`);
}

test("charts are saved as SVG, PNG and CSV", async (t) => {
  const page = await openReport(await openBrowser(t), folder);
  const saved = async (id, kind) => {
    await showChart(page, id);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.locator(`#${id}`).getByRole("button", { name: new RegExp(`^Save .*${kind}`) }).click(),
    ]);
    return readFileSync(await download.path());
  };
  for (const id of ["layers-0", "bars-0", "ablation-0-perplexity-0"]) {
    const svg = (await saved(id, "SVG")).toString("utf8");
    const root = await page.evaluate((text) => new DOMParser().parseFromString(text, "image/svg+xml").documentElement.nodeName, svg);
    assert.equal(root, "svg");
    assert.ok(svg.length > 2000);
    // A saved picture says what it shows, and of which model.
    const title = await page.evaluate((text) => new DOMParser().parseFromString(text, "image/svg+xml").querySelector("text").textContent, svg);
    assert.match(title, /^planted: ./);
    const png = await saved(id, "PNG");
    assert.deepEqual([...png.subarray(1, 4)], [..."PNG"].map((c) => c.charCodeAt(0)));
    const colours = await coloursOf(page, png);
    assert.ok(colours > 40, `${id}: ${colours} colours`);
  }
  const csv = (await saved("layers-0", "CSV")).toString("utf8").trimEnd().split("\r\n");
  assert.equal(csv.length, scan.layers.length + 1);
  assert.deepEqual(csv[1].split(",").map(Number), [scan.layers[0].layer, ...scan.layers[0].top, scan.layers[0].median]);
});

test("the marked tokens are the findings' tokens", async (t) => {
  const page = await openReport(await openBrowser(t), folder);
  const marked = await page.locator("#text mark").evaluateAll((marks) => marks.map((mark) => mark.title));
  const first = scanWindow.texts[0].sequence;
  const wanted = new Set(scan.findings.findings.flatMap((f) => f.values.filter((v) => v.sequence === first).map((v) => v.position)));
  assert.equal(marked.length, wanted.size);
  assert.ok(wanted.size > 0);
  for (const position of wanted) assert.ok(marked.some((title) => title.includes(`position ${position},`)));
});

test("a narrow, dark window shows everything without sideways scrolling", async (t) => {
  const page = await openReport(await openBrowser(t), folder, { viewport: { width: 380, height: 800 }, colorScheme: "dark" });
  await showChart(page, "layers-0");
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(22, 25, 29)");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await screenshot(page, "narrow-dark");
  await page.locator("#theme").click();
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(255, 255, 255)");
  assert.deepEqual(page.complaints, []);
});

test("everything is reached with the keyboard", async (t) => {
  const page = await openReport(await openBrowser(t), folder);
  const names = new Set();
  for (let i = 0; i < 400; ++i) {
    await page.keyboard.press("Tab");
    const name = await page.evaluate(() => {
      const at = document.activeElement;
      return at === document.body ? null : at.id || at.getAttribute("aria-label") || at.textContent;
    });
    if (name === null) break;
    names.add(name);
  }
  for (const control of ["theme", "filter", "layer", "tokens", "flat", "mean", "Save as SVG: planted: the largest |h| and the median", "Show the numbers: planted: the largest |h| and the median"]) {
    assert.ok(names.has(control), `${control} is not reached`);
  }
});

test("without WebGL a heat map stands in, and the page says so", async (t) => {
  const browser = await openBrowser(t, ["--disable-3d-apis"]);
  const page = await openReport(browser, folder);
  await showChart(page, "bars-0");
  assert.equal(await page.evaluate(() => globalThis.massactCharts.get("bars-0").drawn().series[0].type), "heatmap");
  assert.match(await page.locator("#no-webgl").innerText(), /no WebGL/);
  await page.locator("#layer").fill("3");
  const largest = await page.evaluate(() => Math.max(...globalThis.massactCharts.get("bars-0").drawn().series[0].data.map((cell) => cell.exact)));
  assert.equal(largest, Math.max(...scanWindow.layers[3].values.slice(0, 16).flat().map(Math.abs)));
  await screenshot(page, "no-webgl");
  assert.deepEqual(page.complaints, []);
});

test("paper has every chart, drawn or not, in light colours, and whole tables", async (t) => {
  const page = await openReport(await openBrowser(t), folder, { colorScheme: "dark" });
  await page.emulateMedia({ media: "print" });
  await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
  const printed = await page.evaluate(() =>
    [...globalThis.massactCharts.values()].map((chart) => {
      const drawing = chart.figure.querySelector("svg.printed");
      return { shapes: drawing.querySelectorAll("path, image").length, fits: drawing.getBoundingClientRect().right <= innerWidth, title: drawing.querySelector("text").textContent };
    }),
  );
  assert.ok(printed.length >= 8);
  for (const { shapes, fits, title } of printed) {
    assert.ok(shapes > 3 && fits, title);
    assert.match(title, /^planted: ./);
  }
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(255, 255, 255)");
  const findings = page.locator("#findings .scroll");
  assert.ok(await findings.evaluate((box) => box.scrollHeight <= box.clientHeight + 1));
  assert.equal(await page.locator("#findings .controls").isVisible(), false);
  assert.equal(await page.locator("#layers .tools").first().isVisible(), false);
  await page.evaluate(() => dispatchEvent(new Event("afterprint")));
  assert.equal(await page.locator("svg.printed").count(), 0);
  const paper = (await page.pdf()).length;
  assert.ok(paper > 100000, String(paper)); // the text alone is less
  assert.deepEqual(page.complaints, []);
});

test("the headline and the lines stand where the results say", async (t) => {
  const page = await openReport(await openBrowser(t), folder);
  const steepest = scan.layers.reduce((best, row) => (row.max_over_median > best.max_over_median ? row : best));
  const summary = await page.locator("#summary").innerText();
  assert.match(summary, new RegExp(`on average [0-9,.]+ × its median at layer ${steepest.layer}; the largest of all there is [0-9,.]+, [0-9,.]+ × its median`));
  const id = "ablation-0-perplexity-0";
  await showChart(page, id);
  const { precision, data } = await page.evaluate((chart) => globalThis.massactCharts.get(chart).drawn().series[0].markLine, id);
  assert.equal(precision, -1); // ECharts' own is two decimals of the value
  assert.equal(data[0].xAxis, ablate.variants[0].measures.perplexities[0].perplexity.value);
});

test("a narrow window has the bars as a heat map, all within it", async (t) => {
  const page = await openReport(await openBrowser(t), folder, { viewport: { width: 400, height: 800 } });
  await showChart(page, "bars-0");
  assert.equal(await page.evaluate(() => globalThis.massactCharts.get("bars-0").drawn().series[0].type), "heatmap");
  await page.setViewportSize({ width: 1000, height: 800 });
  await page.waitForFunction(() => globalThis.massactCharts.get("bars-0").drawn().series[0].type === "bar3D");
  assert.deepEqual(page.complaints, []);
});

test("attention after is the clearest sink of the layers that see the finding, of the same heads as before", async (t) => {
  const page = await openReport(await openBrowser(t), folder);
  const maps = await page.evaluate(() => JSON.parse(document.getElementById("massact-data").textContent).models[0].maps);
  const sink = (map) => Math.max(...map.probabilities[0].map((_, k) => map.probabilities.reduce((sum, row) => sum + (row[k] ?? 0), 0)));
  const birth = explain.findings.find((finding) => finding.birth).birth.layer;
  const best = maps.filter((map) => map.layer > birth).reduce((a, b) => (sink(b) > sink(a) ? b : a));
  const [before, after] = [(await chartTable(page, "attention-0-0")).rows[0], (await chartTable(page, "attention-0-1")).rows[0]];
  assert.deepEqual(after.slice(0, 2), [best.layer, best.head]);
  assert.equal(before[1], best.head);
  assert.ok(before[0] < after[0]);
});
