// Builds what is committed or measured: `node bundle.js` writes the demo's scripts, which the service serves as they
// are, so that a machine without Node can show them.
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Every script at the top of `demo/` is an entry of its own. */
export const DEMO_ENTRIES = readdirSync(here("demo"), { withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
  .map((entry) => `demo/${entry.name}`)
  .sort();

/** Where the demo's scripts are served from. */
export const DEMO_DIRECTORY = here("../api/shirase/flask/demo/static");

/** The oldest browsers that the package is made for: its syntax is held to them. */
export const OLDEST = ["chrome105", "firefox115", "safari16"];

/** The look of the components, as it is shipped. */
export async function styles(more = {}) {
  const made = await build({ entryPoints: [here("src/react/styles.css")], target: OLDEST, write: false, ...more });
  return made.outputFiles[0].text;
}

/**
 * One entry as a single minified module.
 * @param {string} [entry] a path in this directory
 * @param {Partial<import("esbuild").BuildOptions>} [more]
 * @returns {Promise<string>}
 */
export async function bundle(entry, more = {}) {
  const made = await build({
    absWorkingDir: here("."),
    ...(entry && { entryPoints: [entry] }),
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "eof", // React's licence goes where React goes
    define: { "process.env.NODE_ENV": '"production"' },
    write: false,
    ...more,
  });
  return made.outputFiles[0].text;
}

/** The custom elements: the React components on Preact, which is in the file, so that a page needs nothing else. */
export async function elements(format = "esm") {
  return bundle("src/elements/index.tsx", {
    format,
    target: OLDEST,
    alias: {
      react: "preact/compat",
      "react/jsx-runtime": "preact/jsx-runtime",
      "react-dom/client": "preact/compat/client",
    },
    define: { STYLES: JSON.stringify(await styles({ minify: true })), "process.env.NODE_ENV": '"production"' },
  });
}

/** The service worker of Web Push, a classic script: `importScripts` takes it too. */
export async function serviceWorker() {
  return bundle("src/push/service-worker.ts", { format: "iife", target: OLDEST });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { writeFileSync } = await import("node:fs");
  writeFileSync(`${DEMO_DIRECTORY}/shirase.css`, await styles());
  for (const entry of DEMO_ENTRIES) {
    const name = entry.replace(/^demo\/(.*)\.tsx?$/, "$1.js");
    writeFileSync(`${DEMO_DIRECTORY}/${name}`, await bundle(entry));
  }
}
