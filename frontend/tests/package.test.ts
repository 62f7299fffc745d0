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

const CORE = 'export { createNotificationStream } from "./src/index.js";';
const INBOX = 'export * from "./src/inbox/index.js";';

/** What each part adds to a page, in bytes: what it alone needs, without the parts that it builds on. */
test.each([
  ["the core", CORE, "", 5 * KB],
  ["the inbox, over the core", CORE + INBOX, CORE, 2.5 * KB],
  ["the React part, over both", 'export * from "./src/react/index.js"', "", 14 * KB],
])("%s is small when compressed", async (_, whole, below, limit) => {
  expect((await sizeOf(whole)) - (below ? await sizeOf(below) : 0)).toBeLessThan(limit);
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
