// Pictures of a report's parts: node tools/screenshots.mjs WEB REPORT.html FOLDER PREFIX PART…
// They become FOLDER/PREFIX-PART.png; a part that the report lacks is an error.
// WEB holds node_modules with playwright-core (the build folder of the page).
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [web, report, folder] = process.argv.slice(2, 5).map((path) => resolve(path));
const [prefix, ...parts] = process.argv.slice(5);
const { chromium } = createRequire(join(web, "package.json"))("playwright-core");
const executablePath = spawnSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).stdout.trim();
if (!executablePath) throw new Error("screenshots: expected chromium in PATH (apt-get install chromium)");

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
await page.goto(pathToFileURL(report).href);
await page.addStyleTag({ content: "nav { position: static !important }" });
for (const part of parts) {
  const section = page.locator(`section#${part}`);
  if ((await section.count()) === 0) throw new Error(`screenshots: expected a part ${part} in ${report}`);
  await section.scrollIntoViewIfNeeded();
  const ids = await section.locator("figure[id]").evaluateAll((figures) => figures.map((figure) => figure.id));
  for (const id of ids) {
    await page.locator(`#${id}`).scrollIntoViewIfNeeded();
    await page.waitForFunction((chart) => globalThis.massactCharts.get(chart)?.drawn() !== null, id);
  }
  await page.waitForTimeout(500); // WebGL draws its first pictures over a few frames
  await section.screenshot({ path: join(folder, `${prefix}-${part}.png`) });
}
await browser.close();
