import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { transform } from "esbuild";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { OLDEST } from "../bundle.js";
import { runInPage } from "./frameworks.js";

vi.setConfig({ testTimeout: 240_000 }); // compilers, on a busy machine

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const start = promisify(execFile);
const run = async (command: string, args: string[], cwd: string) => (await start(command, args, { cwd })).stdout;

let host: string; // an application that has installed the packed package, and finds the rest next to it
let installed: string;

beforeAll(async () => {
  host = mkdtempSync(here("../.packed-"));
  installed = join(host, "node_modules/shirase");
  mkdirSync(installed, { recursive: true });
  await run("npm", ["pack", here(".."), "--silent"], host);
  const packed = readdirSync(host).find((name) => name.endsWith(".tgz")) as string;
  await run("tar", ["-xzf", packed, "-C", installed, "--strip-components=1"], host);
}, 300_000);

afterAll(() => rmSync(host, { recursive: true, force: true }));

test("publint finds nothing", async () => {
  expect(await run(here("../node_modules/.bin/publint"), ["--strict", "--pack", "false", installed], host)).toContain(
    "All good",
  );
});

const ENTRIES = [
  "",
  "/inbox",
  "/display",
  "/push",
  "/preferences",
  "/react",
  "/testing",
  "/testing/react",
  "/elements",
].map((entry) => `shirase${entry}`);

test.each(["require", "import"])("node loads every entry by %s, and opens nothing", async (how) => {
  const load = (entry: string) => (how === "require" ? `require("${entry}")` : `await import("${entry}")`);
  const script = ENTRIES.map((entry) => `console.log(Object.keys(${load(entry)}).length > 0)`).join("\n");
  const file = join(host, how === "require" ? "app.cjs" : "app.mjs");
  writeFileSync(file, script);
  expect((await run("node", [file], host)).trim().split("\n")).toEqual(ENTRIES.map(() => "true"));
});

const APP = `
import { createNotificationStream, fetchToken, isOfType, type Notification } from "shirase";
import { createInbox } from "shirase/inbox";
import { asStore, relativeTime } from "shirase/display";
import { NotificationBell, useNotificationSSE } from "shirase/react";
import { createFakeService } from "shirase/testing";
import { FakeNotificationsProvider } from "shirase/testing/react";
import "shirase/elements";
import "shirase/react/styles.css";

declare module "shirase" {
  interface Payloads {
    "interview.scheduled": { room: string };
  }
}

export function room(notification: Notification): string {
  return isOfType(notification, "interview.scheduled") ? notification.payload.room : relativeTime(notification.created_at);
}
export function useRooms(user: string | undefined, enter: (room: string) => void): void {
  useNotificationSSE({
    user, // undefined, too
    onNotification: (arrived) => {
      if (arrived.type === "interview.scheduled") enter(arrived.payload.room);
    },
  });
}
const element = document.querySelector("shirase-bell");
if (element) element.options = { locale: "de", getToken: fetchToken("/my-token") };
const inbox = createInbox(createNotificationStream({ getToken: fetchToken("/my-token") }));
asStore(inbox).subscribe(({ unreadCount }) => unreadCount);
createFakeService({ user: 42 }).notify({ title: "Interview" });
export { FakeNotificationsProvider, NotificationBell };
`;
test.each([
  ["node10", "app.ts", "commonjs"],
  ["node16", "app.cts", "node16"],
  ["node16", "app.mts", "node16"],
  ["bundler", "bundled.ts", "esnext"],
])("with the module resolution %s, %s compiles", async (moduleResolution, name, module) => {
  writeFileSync(join(host, name), APP);
  const compilerOptions = {
    ...{ module, moduleResolution, target: "es2022", lib: ["es2022", "dom", "dom.iterable"], types: [], noEmit: true },
    ...{ noUncheckedSideEffectImports: true, skipLibCheck: true },
    ...{ strict: true, exactOptionalPropertyTypes: true, noPropertyAccessFromIndexSignature: true },
  };
  writeFileSync(join(host, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [name] }));
  const problems = await run(here("../node_modules/.bin/tsc"), ["--pretty", "false"], host).catch(
    (error) => error.stdout,
  );
  expect(problems).toBe("");
});

test.each(["vue", "svelte"] as const)("what docs/bell.md shows for %s builds and runs", async (framework) => {
  const { window, bell } = await runInPage(framework, host, ["one", "two"]);
  const badge = () => bell.shadowRoot?.querySelector(".shirase-badge")?.textContent;
  await vi.waitFor(() => expect(badge()).toBe("2"));
  expect(bell.getAttribute("user")).toBe("aiko");
  if (framework === "svelte") {
    await vi.waitFor(() => expect(window.document.querySelector("p")?.textContent).toBe("2 unread"));
  } else {
    bell.shadowRoot?.querySelector<HTMLElement>(".shirase-bell-button")?.click();
    const link = () => bell.shadowRoot?.querySelector<HTMLElement>(".shirase-link");
    await vi.waitFor(() => expect(link()?.textContent).toBe("two"));
    link()?.click();
    expect(window["went"]).toBe("/two");
  }
});

test("every map points to a source that is packed", () => {
  const maps = files(join(installed, "dist")).filter((path) => path.endsWith(".map"));
  expect(maps.length).toBeGreaterThan(50);
  const lost = maps.flatMap((path) =>
    (JSON.parse(readFileSync(path, "utf8")) as { sources: string[] }).sources
      .map((source) => resolve(dirname(path), source))
      .filter((source) => !existsSync(source)),
  );
  expect(lost).toEqual([]);
});

test("the syntax is that of the oldest browsers the README names", async () => {
  const scripts = files(join(installed, "dist")).filter((path) => path.endsWith(".js"));
  expect(scripts.length).toBeGreaterThan(50);
  for (const path of scripts) {
    const code = readFileSync(path, "utf8");
    const lowered = await transform(code, { target: [...OLDEST], legalComments: "none" });
    expect(lowered.code === (await transform(code, { target: "esnext", legalComments: "none" })).code, path).toBe(true);
  }
  const names = OLDEST.map((browser) => browser.replace(/(\d+)$/, " $1"));
  const readme = readFileSync(here("../README.md"), "utf8").toLowerCase();
  expect(names.filter((name) => !readme.replace(" and edge", "").includes(name))).toEqual([]);
});

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).map((name) => join(directory, name));
}
