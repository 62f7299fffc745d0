import { afterEach, beforeEach, vi } from "vitest";
import { createTab } from "./browser.js";
import { createScriptedServer, type ScriptedServer } from "./scripted-server.js";
import { createBrowser } from "./shared-browser.js";
import { settle } from "./timers.js";

/** Each test of a file that imports this has a service of its own, under fake timers. */
export let server: ScriptedServer;
/** A tab by itself. */
export let tab: ReturnType<typeof createTab>;
/** One whose tabs share locks and channels. */
export let browser: ReturnType<typeof createBrowser>;

beforeEach(() => {
  vi.useFakeTimers();
  server = createScriptedServer();
  tab = createTab(server);
  browser = createBrowser(server);
});

afterEach(() => {
  vi.useRealTimers();
});

/** Tabs of the browser, opened one after the other. */
export async function openTabs(count: number) {
  const tabs = [];
  for (let number = 0; number < count; number++) {
    tabs.push(browser.open());
    await settle();
  }
  return tabs as [ReturnType<typeof browser.open>, ...ReturnType<typeof browser.open>[]];
}
