import { expect, test, vi } from "vitest";
import { createInbox } from "../src/inbox/index.js";
import { server, tab } from "./scripted.js";
import { pass, settle } from "./timers.js";

test("after a loss it resumes at its cursor and misses nothing", async () => {
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

test("delays double up to a limit, with full jitter, forever", async () => {
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

test("a stream that breaks soon after opening waits longer each time", async () => {
  const stream = tab.open({ pollAfter: 0 });
  await settle();
  for (const attempt of [1, 2, 3, 4]) {
    server.latest.break();
    expect(stream.getState()).toMatchObject({ status: "reconnecting", attempt });
    await pass(2 ** (attempt - 1) / 2); // half of the bound: the test's random is fixed
    expect(stream.getState().status).toBe("open");
  }
  await pass(5);
  server.latest.break();
  expect(stream.getState()).toMatchObject({ attempt: 1 });
});

test("with reconnect: false the first loss closes it", async () => {
  const stream = tab.open({ reconnect: false });
  await settle();
  server.latest.break();
  await pass(100);
  expect(stream.getState()).toEqual({ status: "closed", reason: "lost" });
  expect(server.streams.length).toBe(1);
});

test.each([
  ["the network is back", () => tab.goOnline()],
  ["the page is shown", () => tab.show("visible")],
])("it tries at once when %s", async (_, happen) => {
  const stream = tab.open();
  await settle();
  server.latest.break();
  happen();
  await settle();
  expect(stream.getState().status).toBe("open");
  expect(server.streams.length).toBe(2);
});

test("offline ends the connection, and online opens the next", async () => {
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

test("while the browser is offline it sends nothing", async () => {
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

test("a page opened offline tries once, then waits", async () => {
  server.onStream = server.onRequest = "break";
  const stream = tab.open({ environment: { navigator: { onLine: false } } });
  createInbox(stream);
  await pass(3600);
  expect(server.asked).toHaveLength(1);
  server.onStream = server.onRequest = "serve";
  stream.retryNow(); // the user does not wait
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

test("a browser's wrong offline state is ignored", async () => {
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

test("after a sleep, showing the page detects a dead stream", async () => {
  const stream = tab.open();
  await settle();
  vi.setSystemTime(Date.now() + 3_600_000); // the timers have not moved
  tab.show("visible");
  expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "silent" } });
  await pass(1);
  expect(stream.getState().status).toBe("open");
});
