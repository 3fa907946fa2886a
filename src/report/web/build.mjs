// Bundles the page into one template: node build.mjs OUT.html
// The program puts its data where /*@data@*/ stands (src/massact/report/page.cpp).
import { readFileSync, writeFileSync } from "node:fs";
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
const licences = `/* Holds Apache ECharts and echarts-gl (Apache-2.0, BSD-3-Clause), zrender (BSD-3-Clause) and
claygl (BSD-2-Clause). */`;
const page = readFileSync("page.html", "utf8")
  .replace("/*@style@*/", () => inside(style, "style"))
  .replace("/*@script@*/", () => licences + inside(script, "script"));
writeFileSync(out, page);
