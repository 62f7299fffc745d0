import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import type { Plugin } from "esbuild";
import { expect, test } from "vitest";
import { bundle, DEMO_DIRECTORY, DEMO_ENTRIES, styles } from "../bundle.js";

const KB = 1024; // bytes

const WITHOUT_CORE: Plugin = {
  name: "without the core",
  setup: ({ onResolve }) => {
    onResolve({ filter: /\.\.\/(index|inbox\/index)\.js$/ }, () => ({ path: "shirase", external: true }));
    onResolve({ filter: /\/locales\// }, ({ path }) => ({ path, external: true })); // loaded on demand
  },
};

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

/** What each part costs a page, in bytes: with what it alone needs, and without the parts that it builds on. */
test.each([
  ["the core", 'export { createNotificationStream } from "./src/index.js"', 5 * KB],
  ["the inbox by itself", 'export * from "./src/inbox/index.js"', 3.6 * KB],
  ["the React part", 'export * from "./src/react/index.js"', 14 * KB],
])("%s is small when compressed", async (_, contents, limit) => {
  expect(await sizeOf(contents)).toBeLessThan(limit);
});

test("the inbox adds 3 KB to a page that has the core", async () => {
  const core = 'export { createNotificationStream } from "./src/index.js"';
  const both = await sizeOf(`${core}; export * from "./src/inbox/index.js"`);
  expect(both - (await sizeOf(core))).toBeLessThan(3 * KB);
});

async function sizeOf(contents: string): Promise<number> {
  const stdin = { contents, resolveDir: new URL("..", import.meta.url).pathname };
  const built = await bundle(undefined, { stdin, external: ["react", "react/jsx-runtime"], plugins: [WITHOUT_CORE] });
  return gzipSync(built).length;
}

test.each(DEMO_ENTRIES)("the committed build of %s is that of its source", async (entry) => {
  const committed = `${DEMO_DIRECTORY}/${entry.replace(/^demo\/(.*)\.tsx?$/, "$1.js")}`;
  // If this fails: npm run demo
  expect(readFileSync(committed, "utf8") === (await bundle(entry)), `${committed} is out of date`).toBe(true);
});

test("the demo has the components' styles as they are shipped", async () => {
  expect(readFileSync(`${DEMO_DIRECTORY}/shirase.css`, "utf8")).toBe(await styles());
});

test("nothing is depended on, and no registry is named", () => {
  expect(JSON.parse(read("../package.json")).dependencies).toBe(undefined);
  expect(read("../package-lock.json")).not.toMatch(/"resolved": "\w+:/);
});
