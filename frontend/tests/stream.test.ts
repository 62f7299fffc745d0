import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createInbox } from "../src/inbox/index.js";
import { createNotificationStream } from "../src/index.js";
import { createTab } from "./browser.js";
import { createScriptedServer, type ScriptedServer } from "./scripted-server.js";
import { pass, settle } from "./timers.js";

let server: ScriptedServer;
let tab: ReturnType<typeof createTab>;

beforeEach(() => {
  vi.useFakeTimers();
  server = createScriptedServer();
  tab = createTab(server);
});

afterEach(() => {
  vi.useRealTimers();
});

test("it connects, and tells events in order", async () => {
  const stream = tab.open();
  expect(stream.getState()).toEqual({ status: "connecting" });
  await settle();
  expect(stream.getState()).toEqual({ status: "open", shared: false });
  server.create("One");
  server.create("Two");
  server.read([1]);
  expect(stream.names()).toEqual(["connected", "notification", "notification", "read"]);
  expect(stream.titles()).toEqual(["One", "Two"]);
  expect(stream.cursor).toBe("c-3");
  expect(server.asked).toEqual(["STREAM /api/sse/notifications?token=a.test.token"]);
});

test("a listener of one name hears the data of that name alone, until it ends", async () => {
  const stream = tab.open();
  const titles: string[] = [];
  const end = stream.on("notification", ({ title }) => titles.push(title));
  await settle();
  server.create("One");
  server.read("all");
  end();
  server.create("Two");
  expect(titles).toEqual(["One"]);
});

test("a listener's exception reaches the page, not the others", async () => {
  const stream = tab.open();
  const titles: string[] = [];
  stream.on("notification", () => {
    throw new Error("a mistake of the page");
  });
  stream.on("notification", ({ title }) => titles.push(title));
  await settle();
  server.create("One");
  expect(titles).toEqual(["One"]);
  expect(() => vi.runOnlyPendingTimers()).toThrow("a mistake of the page");
});

test("after a loss it comes back behind its cursor and misses nothing", async () => {
  const stream = tab.open();
  await settle();
  server.create("One");
  server.latest.break();
  expect(stream.getState()).toMatchObject({ status: "reconnecting", attempt: 1, error: { kind: "network" } });
  server.create("Two");
  await pass(1);
  expect(server.latest.url.searchParams.get("last_event_id")).toBe("c-1");
  expect(stream.getState()).toEqual({ status: "open", shared: false });
  expect(stream.titles()).toEqual(["One", "Two"]);
  expect(server.open.length).toBe(1);
});

test("a cursor that comes a second time is not delivered again", async () => {
  const stream = tab.open();
  await settle();
  const one = server.create("One");
  server.create("Two");
  server.latest.send("notification", one, "c-1");
  expect(stream.titles()).toEqual(["One", "Two"]);
  expect(stream.cursor).toBe("c-2");
});

test("it can begin behind a cursor of another time", async () => {
  server.create("One");
  server.create("Two");
  const stream = tab.open({ cursor: "c-1" });
  await settle();
  expect(stream.titles()).toEqual(["Two"]);
});

test("waits double up to the longest, with full jitter, and it never gives up", async () => {
  server.onStream = "break";
  server.onRequest = "break";
  const random = vi.fn(() => 1);
  const stream = tab.open({ environment: { random } });
  const bounds: number[] = [];
  stream.subscribe(() => {
    const state = stream.getState();
    if (state.status === "reconnecting" && state.retryAt !== null) bounds.push(state.retryAt - Date.now());
  });
  await pass(600);
  expect(bounds.slice(0, 8)).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  expect(bounds.length).toBeGreaterThan(15);
  random.mockReturnValue(0);
  server.onStream = server.onRequest = "serve";
  await pass(30);
  expect(stream.getState().status).toBe("open");
});

test("a stream that breaks again and again soon after it opened is waited for longer each time", async () => {
  const stream = tab.open({ pollAfter: 0 });
  await settle();
  for (const attempt of [1, 2, 3, 4]) {
    server.latest.break();
    expect(stream.getState()).toMatchObject({ status: "reconnecting", attempt });
    await pass(2 ** (attempt - 1) / 2); // half of the bound, as the test's random says
    expect(stream.getState().status).toBe("open");
  }
  await pass(5);
  server.latest.break();
  expect(stream.getState()).toMatchObject({ attempt: 1 });
});

test("with reconnect: false the first loss is the end", async () => {
  const stream = tab.open({ reconnect: false });
  await settle();
  server.latest.break();
  await pass(100);
  expect(stream.getState()).toEqual({ status: "closed", reason: "lost" });
  expect(server.streams.length).toBe(1);
});

test.each([
  ["the network is back", () => tab.goOnline()],
  ["the page is looked at", () => tab.show("visible")],
])("it tries at once when %s", async (_, happen) => {
  const stream = tab.open();
  await settle();
  server.latest.break();
  happen();
  await settle();
  expect(stream.getState().status).toBe("open");
  expect(server.streams.length).toBe(2);
});

test("when the network goes, so does the connection; when it comes, the next one is tried at once", async () => {
  const stream = tab.open({ minDelay: 1e8, maxDelay: 1e8 });
  await settle();
  server.onStream = "break";
  tab.goOffline();
  expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "network" } });
  tab.goOffline();
  await settle();
  expect(server.streams.length).toBe(1);
  server.onStream = "serve";
  tab.goOnline();
  await settle();
  expect(stream.getState().status).toBe("open");
  expect(server.open.length).toBe(1);
});

test("while the browser is offline nothing is tried", async () => {
  const navigator = { onLine: true };
  const stream = tab.open({ environment: { navigator } });
  createInbox(stream);
  await settle();
  navigator.onLine = false;
  tab.goOffline();
  server.onStream = server.onRequest = "break";
  const asked = server.asked.length;
  await pass(20);
  tab.show("visible");
  await pass(3600);
  expect(stream.getState()).toMatchObject({ status: "reconnecting", retryAt: null, error: { kind: "offline" } });
  expect(server.asked.length).toBe(asked);
  server.onStream = server.onRequest = "serve";
  navigator.onLine = true;
  tab.goOnline();
  await settle();
  expect(stream.getState().status).toBe("open");
});

test("a page that is opened offline tries once, then waits", async () => {
  server.onStream = server.onRequest = "break";
  const stream = tab.open({ environment: { navigator: { onLine: false } } });
  createInbox(stream);
  await pass(3600);
  expect(server.asked).toHaveLength(1);
  server.onStream = server.onRequest = "serve";
  stream.retryNow(); // somebody who knows better
  await settle();
  expect(stream.getState().status).toBe("open");
});

test("a service on this machine needs no network", async () => {
  server.onStream = "break";
  const stream = tab.open({ url: "http://127.0.0.1:7999", environment: { navigator: { onLine: false } } });
  await settle();
  server.onStream = "serve";
  await pass(2);
  expect(stream.getState().status).toBe("open");
  tab.goOffline(); // this is news
  expect(stream.getState()).toMatchObject({ error: { kind: "offline" } });
});

test("a browser that is wrong about being offline is not believed", async () => {
  const stream = tab.open({ environment: { navigator: { onLine: false } } });
  await settle();
  expect(stream.getState().status).toBe("open");
  server.latest.break();
  await pass(2);
  expect(stream.getState().status).toBe("open");
});

test("retryNow() connects at once, and only once", async () => {
  const stream = tab.open();
  await settle();
  server.latest.break();
  stream.retryNow();
  stream.retryNow();
  await settle();
  stream.retryNow();
  await settle();
  expect(stream.getState().status).toBe("open");
  expect(server.streams.length).toBe(2);
});

test("silence beyond two heartbeats is a loss", async () => {
  const stream = tab.open({ heartbeat: 10_000 });
  await settle();
  await pass(15);
  server.latest.send("heartbeat", { type: "heartbeat" });
  await pass(20);
  expect(stream.getState().status).toBe("open");
  await pass(10);
  expect(stream.states.at(-3)).toMatchObject({ status: "reconnecting", error: { kind: "silent" } });
  expect(stream.getState().status).toBe("open");
  expect(server.streams.length).toBe(2);
  expect(server.open.length).toBe(1);
});

test("after the laptop slept, looking at the page is enough to find the stream dead", async () => {
  const stream = tab.open();
  await settle();
  vi.setSystemTime(Date.now() + 3_600_000); // the timers have not moved
  tab.show("visible");
  expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "silent" } });
  await pass(1);
  expect(stream.getState().status).toBe("open");
});

test("a heartbeat and a closing have no cursor of their own", async () => {
  const stream = tab.open();
  await settle();
  server.create();
  server.latest.send("heartbeat", { type: "heartbeat" });
  expect(stream.received.at(-1)).toEqual({ event: "heartbeat", id: null, data: { type: "heartbeat" } });
  expect(stream.cursor).toBe("c-1");
});

test("an event that was damaged on its way is fetched again", async () => {
  const stream = tab.open();
  await settle();
  server.latest.sendRaw("notification", '{"id": 1, "tit');
  expect(stream.getState().status).toBe("reconnecting");
  server.create("One");
  await pass(1);
  expect(stream.titles()).toEqual(["One"]);
});

test("a closing for good is honoured: nothing but a person reopens it", async () => {
  const stream = tab.open();
  await settle();
  server.latest.send("closing", { reason: "connection-limit", reconnect: false });
  expect(stream.getState()).toEqual({ status: "closed", reason: "ended", detail: "connection-limit" });
  tab.goOnline();
  tab.show("visible");
  tab.freeze();
  tab.thaw(); // as browsers do by themselves from time to time
  tab.leave();
  tab.comeBack();
  await pass(3600);
  expect(server.streams.length).toBe(1);
  expect(stream.getState()).toMatchObject({ status: "closed", reason: "ended" });
  stream.retryNow();
  await settle();
  expect(stream.getState().status).toBe("open");
});

test("a closing that asks to come back does so with a fresh token", async () => {
  const getToken = vi.fn(() => "a.test.token");
  const stream = tab.open({ getToken });
  await settle();
  server.latest.send("closing", { reason: "token-expired", reconnect: true });
  expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "ending" } });
  await pass(1);
  expect(stream.getState().status).toBe("open");
  expect(getToken.mock.calls).toEqual([[{ refresh: false }], [{ refresh: true }]]);
});

test("a service that asks to come back again and again is asked less and less often", async () => {
  const stream = tab.open();
  await settle();
  for (let times = 1; times <= 4; times++) {
    server.latest.send("closing", { reason: "token-expired", reconnect: true });
    expect(stream.getState()).toMatchObject({ status: "reconnecting", attempt: times });
    await pass(2 ** (times - 1) / 2);
  }
  expect(stream.getState().status).toBe("open");
});

test("after a reset the log begins anew, also with cursors that were used before", async () => {
  const stream = tab.open();
  await settle();
  server.create("One");
  server.create("Two");
  server.create("Three");
  server.latest.break();
  server.restore(2);
  await pass(1);
  expect(stream.names().slice(4)).toEqual(["connected", "reset"]);
  expect(stream.cursor).toBe("c-2");
  server.create("Another third");
  expect(stream.titles()).toEqual(["One", "Two", "Three", "Another third"]);
});

test("another user's stream is refused before anything of it is delivered", async () => {
  server.userId = "ben";
  const stream = tab.open({ user: "aiko" });
  await settle();
  expect(stream.getState()).toEqual({ status: "closed", reason: "wrong-user" });
  expect(stream.received).toEqual([]);
  expect(server.open).toEqual([]);
});

test("close() releases everything", async () => {
  const stream = tab.open();
  await settle();
  stream.close();
  stream.close();
  expect(stream.getState()).toEqual({ status: "closed", reason: "closed" });
  expect(server.open).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
  tab.goOnline();
  tab.comeBack();
  stream.retryNow();
  stream.connect();
  await pass(3600);
  expect(server.streams.length).toBe(1);
});

test("close() while the token is being fetched opens nothing", async () => {
  const stream = tab.open();
  stream.close();
  await settle();
  expect(server.streams).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

test("close() from within a listener ends a stream and a long poll alike", async () => {
  const stream = tab.open();
  stream.on("notification", () => stream.close());
  await settle();
  server.latest.send("notification", server.create("One"), "c-7");
  const poller = tab.open({ environment: { EventSource: undefined } });
  poller.on("notification", () => poller.close());
  await pass(2);
  server.create("Two");
  await pass(100);
  expect(stream.titles()).toEqual(["One"]);
  expect(poller.titles()).toEqual(["Two"]);
  expect(vi.getTimerCount()).toBe(0);
});

test.each(["connecting", "open", "reconnecting", "polling"])(
  "close() in a listener of the state %s ends the stream",
  async (status) => {
    const stream = tab.open({ autoConnect: false, pollAfter: 2, connectTimeout: 1000 });
    stream.subscribe(() => stream.getState().status === status && stream.close());
    stream.connect();
    await settle();
    server.onStream = "silent";
    server.streams.at(-1)?.break();
    await pass(100);
    expect(stream.getState()).toEqual({ status: "closed", reason: "closed" });
    expect(stream.names().length).toBe(status === "connecting" || status === "open" ? 0 : 1);
    expect(server.open).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  },
);

test("a page that is kept for going back lets its stream go, and catches up when it is back", async () => {
  const stream = tab.open();
  await settle();
  tab.leave();
  expect(server.open).toEqual([]);
  server.create("Meanwhile");
  await pass(600);
  expect(server.streams.length).toBe(1);
  tab.comeBack();
  expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "suspended" } });
  await settle();
  expect(stream.titles()).toEqual(["Meanwhile"]);
});

test("so does a page that is frozen", async () => {
  const stream = tab.open();
  await settle();
  tab.freeze();
  expect(server.open).toEqual([]);
  server.create("Meanwhile");
  tab.thaw();
  await settle();
  expect(stream.titles()).toEqual(["Meanwhile"]);
});

test("with autoConnect: false it waits for connect()", async () => {
  const stream = tab.open({ autoConnect: false });
  await pass(10);
  expect(stream.getState()).toEqual({ status: "idle" });
  stream.connect();
  stream.connect();
  await settle();
  expect(stream.getState().status).toBe("open");
  expect(server.streams.length).toBe(1);
});

test("on a server it stays idle and asks for nothing", async () => {
  const getToken = vi.fn(() => "a.test.token");
  const stream = createNotificationStream({ getToken, environment: { EventSource: undefined, window: undefined } });
  await pass(10);
  expect(stream.getState()).toEqual({ status: "idle" });
  expect(getToken).not.toHaveBeenCalled();
  stream.close();
});

test("a server that has an EventSource of its own stays idle", async () => {
  vi.stubGlobal("EventSource", server.EventSource);
  const stream = createNotificationStream({ getToken: () => "a.test.token" });
  await pass(10);
  expect(stream.getState()).toEqual({ status: "idle" });
  expect(server.streams).toEqual([]);
  vi.unstubAllGlobals();
});

test("a window without events, as React Native has it, needs an EventSource", async () => {
  vi.stubGlobal("window", globalThis);
  vi.stubGlobal("document", {});
  const options = { user: "aiko", getToken: () => "a.test.token" };
  expect(createNotificationStream(options).getState()).toEqual({ status: "idle" });
  const environment = { EventSource: server.EventSource, fetch: server.fetch };
  const stream = createNotificationStream({ ...options, environment });
  await settle();
  expect(stream.getState().status).toBe("open");
  stream.close();
  vi.unstubAllGlobals();
});

test.each([
  [{}, /one of getToken, getTicket and cookies/],
  [{ cookies: true, heartbeat: Number.NaN }, /heartbeat must be/],
  [{ cookies: true, maxDelay: -1 }, /maxDelay must be/],
  [{ cookies: true, pollTimeout: 61_000 }, /pollTimeout must be .* 60000/],
  [{ cookies: true, streamRetry: 1e10 }, /streamRetry must be/],
  [{ cookies: true, url: "http://[" }, /url must be/],
  [{ cookies: true, minDelay: "fast" as unknown as number }, /minDelay must be/],
])("an option that is wrong is named: %j", (options, message) => {
  expect(() => createNotificationStream(options)).toThrow(message);
});
