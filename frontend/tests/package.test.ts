import { existsSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { bundle, DEMO_DIRECTORY, DEMO_ENTRIES, STYLES } from "../bundle.js";

const CORE_LIMIT = 5_000; // bytes;

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

test("the core is under 5 KB compressed", async () => {
  const core = await bundle("src/index.ts");
  expect(gzipSync(core).length).toBeLessThan(CORE_LIMIT);
});

test.each(DEMO_ENTRIES)("the committed build of %s is that of its source", async (entry) => {
  const committed = `${DEMO_DIRECTORY}/${entry.replace(/^demo\/(.*)\.tsx?$/, "$1.js")}`;
  // If this fails: npm run demo
  expect(readFileSync(committed, "utf8") === (await bundle(entry)), `${committed} is out of date`).toBe(true);
});

test("the demo has the components' styles as they are", () => {
  expect(readFileSync(`${DEMO_DIRECTORY}/shirase.css`, "utf8")).toBe(readFileSync(STYLES, "utf8"));
});

test("every subpath of the package has a source", () => {
  const { exports } = JSON.parse(read("../package.json")) as { exports: Record<string, { default: string } | string> };
  const sources = Object.values(exports)
    .map((target) => (typeof target === "object" ? target.default : target))
    .filter((target) => target.startsWith("./dist/"))
    .map((target) => target.replace("./dist/", "../src/").replace(/\.js$/, ".ts"));
  expect(sources.filter((source) => !existsSync(new URL(source, import.meta.url)))).toEqual([]);
});

test("the package has no dependency, and its lock file names no registry", () => {
  expect(JSON.parse(read("../package.json"))).not.toHaveProperty("dependencies");
  expect(read("../package-lock.json")).not.toMatch(/"resolved": "\w+:/);
});
