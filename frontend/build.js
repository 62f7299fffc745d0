// Builds the package into dist/: modules and CommonJS with types for both, the stylesheet, and the elements.
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { elements, serviceWorker, styles } from "./bundle.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const tsc = (...options) =>
  execFileSync(process.execPath, [here("node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json", ...options], {
    cwd: here("."),
    stdio: "inherit",
  });

rmSync(here("dist"), { recursive: true, force: true });
tsc();
tsc("--module", "commonjs", "--moduleResolution", "node10", "--verbatimModuleSyntax", "false", "--outDir", "dist/cjs");
writeFileSync(here("dist/cjs/package.json"), '{ "type": "commonjs" }\n');

// A script of its own, as a service worker is; nothing imports it or its parts.
for (const path of ["dist", "dist/cjs"])
  for (const part of ["worker", "service-worker"])
    for (const end of ["js", "js.map", "d.ts", "d.ts.map"]) rmSync(here(`${path}/push/${part}.${end}`));
writeFileSync(here("dist/push/service-worker.js"), await serviceWorker());

writeFileSync(here("dist/react/styles.css"), await styles());
for (const path of ["dist", "dist/cjs"]) writeFileSync(here(`${path}/react/styles.css.d.ts`), "export {};\n");

// In one file each, which pages load and test runners require.
writeFileSync(here("dist/elements/index.js"), await elements());
writeFileSync(here("dist/cjs/elements/index.js"), await elements("cjs"));
