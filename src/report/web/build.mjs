// Bundles the page into one template: node build.mjs OUT.html
// The program puts its data where /*@data@*/ stands (src/massact/report/page.cpp).
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const out = process.argv[2] ?? "report.template.html";
// echarts-gl imports files of ECharts and zrender without their ending, which the packages' own
// "exports" no longer allow.
const withEnding = {
  name: "with-ending",
  setup(build) {
    build.onResolve({ filter: /^(echarts|zrender)\/lib\// }, (args) =>
      args.path.endsWith(".js")
        ? undefined
        : build.resolve(`${args.path}.js`, { kind: args.kind, resolveDir: args.resolveDir }),
    );
  },
};
const options = { bundle: true, minify: true, write: false, target: "es2020", legalComments: "none", plugins: [withEnding] };

const [script, style] = await Promise.all([
  build({ ...options, entryPoints: ["src/main.ts"], format: "iife", charset: "ascii" }),
  build({ ...options, entryPoints: ["src/style.css"] }),
]);

// A closing tag inside the bundle would end the element early.
const inside = (result, tag) => result.outputFiles[0].text.replaceAll(`</${tag}`, `<\\/${tag}`);
// Their terms ask to be passed on.
const licences = ["echarts", "zrender", "echarts-gl", "claygl", "tslib"]
  .map((name) => readFileSync(join("node_modules", name, name === "tslib" ? "LICENSE.txt" : "LICENSE"), "utf8"))
  .join("\n\n");
const page = readFileSync("page.html", "utf8")
  .replace("/*@style@*/", () => inside(style, "style"))
  .replace("/*@script@*/", () => inside(script, "script"))
  .replace("/*@licences@*/", () => licences.replaceAll("<", "&lt;"));
writeFileSync(out, page);
