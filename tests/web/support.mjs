// What the page's tests share: the program, a real Chromium, pages that must not talk to anyone.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const kSkipped = 77; // ctest's SKIP_RETURN_CODE

function fromEnvironment(name) {
  const value = process.env[name];
  if (!value) throw new Error(`expected ${name} to be set (ctest sets it)`);
  return value;
}

export const source = fromEnvironment("MASSACT_SOURCE");
const program = fromEnvironment("MASSACT_PROGRAM");
const screenshots = fromEnvironment("MASSACT_SCREENSHOTS");

function skip(why) {
  console.log(`SKIPPED: ${why}`);
  process.exit(kSkipped);
}

function findChromium() {
  const folders = (process.env.PATH ?? "").split(":");
  return ["chromium", "chromium-browser", "google-chrome"]
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((file) => existsSync(file));
}

const executablePath = process.env.MASSACT_CHROMIUM ?? findChromium();
const web = fromEnvironment("MASSACT_WEB");
if (!executablePath) skip("chromium is not installed (apt-get install chromium)");
if (statSync(join(web, "report.template.html")).size === 0) skip("the page could not be built");
const { chromium } = createRequire(join(web, "package.json"))("playwright-core");

/** A folder of this test's own. */
export function freshFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), "massact-web-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs the program; fails with what it said. */
export function massact(...line) {
  const outcome = spawnSync(program, line, { encoding: "utf8", cwd: source });
  if (outcome.status !== 0) throw new Error(`massact ${line.join(" ")}: ${outcome.stderr}`);
  return outcome;
}

/** Runs the program to its failure; gives what it said. */
export function massactFails(...line) {
  const outcome = spawnSync(program, line, { encoding: "utf8", cwd: source });
  if (outcome.status !== 1) throw new Error(`massact ${line.join(" ")}: expected status 1, got ${outcome.status}: ${outcome.stderr}`);
  return outcome.stderr;
}

export const harbour = ["--text", join(source, "tests/golden/texts/harbour.txt"), "--seq-len", "64", "--bos", "yes"];
export const planted = join(source, "tests/golden/models/planted");

export function json(...path) {
  return JSON.parse(readFileSync(join(...path), "utf8"));
}

/** Software WebGL unless told otherwise; runs as root in containers. */
export async function openBrowser(t, args = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]) {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", ...args] });
  t.after(() => browser.close());
  return browser;
}

/** Opens a report from disk. `page.complaints` collects errors, `page.requests` what it asked for. */
export async function openReport(browser, folder, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.requests = [];
  page.on("console", (message) => {
    // Software rendering is slow, and Chromium says so; that is no fault of the page.
    if (["error", "warning"].includes(message.type()) && !/GPU stall|GL Driver/.test(message.text())) {
      page.complaints.push(message.text());
    }
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("request", (request) => page.requests.push(request.url()));
  await page.goto(pathToFileURL(join(folder, "report.html")).href);
  return page;
}

/** Scrolls a chart into view and waits until it is drawn. */
export async function showChart(page, id) {
  await page.locator(`#${id}`).scrollIntoViewIfNeeded();
  await page.waitForFunction((chart) => globalThis.massactCharts.get(chart)?.drawn() !== null, id, { timeout: 60000 });
}

/** The numbers behind a chart as its CSV and table have them. */
export function chartTable(page, id) {
  return page.evaluate((chart) => globalThis.massactCharts.get(chart).spec.table(), id);
}

/** For a person to look at. */
export async function screenshot(page, name, options = {}) {
  mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `${name}.png`), ...options });
}
