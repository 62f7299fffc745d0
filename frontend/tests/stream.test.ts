import { expect, test, vi } from "vitest";
import { createNotificationStream } from "../src/index.js";
import { server, tab } from "./scripted.js";
import { pass, settle } from "./timers.js";

test("it connects, and delivers events in order", async () => {
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

test("a listener of one name gets the data of that name alone", async () => {
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

test("a cursor that comes a second time is not delivered again", async () => {
  const stream = tab.open();
  await settle();
  const first = server.create("One");
  server.create("Two");
  server.latest.send("notification", first, "c-1");
  expect(stream.titles()).toEqual(["One", "Two"]);
  expect(stream.cursor).toBe("c-2");
});

test("it can begin at a stored cursor", async () => {
  server.create("One");
  server.create("Two");
  const stream = tab.open({ cursor: "c-1" });
  await settle();
  expect(stream.titles()).toEqual(["Two"]);
});

test("it has the counts at its cursor", async () => {
  server.create("One");
  const stream = tab.open();
  expect(stream.counts).toEqual({ unread_count: Number.NaN, unseen_count: Number.NaN });
  await settle();
  server.create("Two");
  expect(stream.counts).toEqual({ unread_count: 2, unseen_count: 2 });
  server.read([1]);
  expect(stream.counts).toEqual({ unread_count: 1, unseen_count: 1 });
});

test("a heartbeat and a closing have no cursor", async () => {
  const stream = tab.open();
  await settle();
  server.create();
  server.latest.send("heartbeat", { type: "heartbeat" });
  expect(stream.received.at(-1)).toEqual({ event: "heartbeat", id: null, data: { type: "heartbeat" } });
  expect(stream.cursor).toBe("c-1");
});

test("a damaged event is fetched again", async () => {
  const stream = tab.open();
  await settle();
  server.latest.sendRaw("notification", '{"id": 1, "tit');
  expect(stream.getState().status).toBe("reconnecting");
  server.create("One");
  await pass(1);
  expect(stream.titles()).toEqual(["One"]);
});

test("after a reset, cursors that were used before count as new", async () => {
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

test("on a server it stays idle and sends nothing", async () => {
  const getToken = vi.fn(() => "a.test.token");
  const stream = createNotificationStream({ getToken, environment: { EventSource: undefined, window: undefined } });
  await pass(10);
  expect(stream.getState()).toEqual({ status: "idle" });
  expect(getToken).not.toHaveBeenCalled();
  stream.close();
});

test("on a server with an EventSource it stays idle", async () => {
  vi.stubGlobal("EventSource", server.EventSource);
  const stream = createNotificationStream({ getToken: () => "a.test.token" });
  await pass(10);
  expect(stream.getState()).toEqual({ status: "idle" });
  expect(server.streams).toEqual([]);
  vi.unstubAllGlobals();
});

test("in React Native it needs an EventSource", async () => {
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
])("a wrong option is named: %j", (options, message) => {
  expect(() => createNotificationStream(options)).toThrow(message);
});
