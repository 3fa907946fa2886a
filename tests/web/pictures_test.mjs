// Reports on vision models: maps over the pictures.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { chartTable, freshFolder, json, massact, openBrowser, openReport, screenshot, showChart, source } from "./support.mjs";

test("norms and attention stand over the pictures, behind any layer", async (t) => {
  const folder = freshFolder(t);
  const images = ["rgb.png", "rgb.jpg"].map((name) => join(source, "tests/golden/images/files", name));
  massact("report", "models/mini-vit-reg", "--images", ...images, "--out", folder, "--quiet");
  const pictures = json(folder, "mini-vit-reg/pictures.json");
  assert.equal(pictures.pictures.length, 2);
  const page = await openReport(await openBrowser(t), folder);
  const figure = page.locator("#picture-0-0");
  await showChart(page, "picture-0-0");
  const drawn = () =>
    page.evaluate(() => {
      const option = globalThis.massactCharts.get("picture-0-0").drawn();
      return { cells: option.series[0].data.map((cell) => cell[2]), image: option.graphic[0].elements[0].style.image };
    });
  const last = pictures.pictures[0].layers.at(-1);
  const leading = pictures.class_tokens + pictures.registers;
  const norms = await drawn();
  assert.deepEqual(norms.cells, last.norms.slice(leading));
  assert.equal(norms.image, pictures.pictures[0].image);
  assert.match(await figure.innerText(), /class token: .*register 3: /);
  await screenshot(page, "pictures");

  await figure.locator("select").first().selectOption({ label: "attention of the class token" });
  await figure.locator("select").last().selectOption({ label: "1" });
  const first = pictures.pictures[0].layers[0];
  assert.deepEqual((await drawn()).cells, first.attention.slice(leading));
  const table = await chartTable(page, "picture-0-0");
  assert.equal(table.rows.length, first.norms.length);

  await figure.locator("select").first().selectOption({ label: "the picture alone" });
  assert.deepEqual((await drawn()).cells, []);
  assert.equal(await page.locator("#text").count(), 0);
  assert.deepEqual(page.complaints, []);
  assert.deepEqual(page.requests.filter((url) => !url.startsWith("file:") && !url.startsWith("data:")), []);
});
