import { expect, test, vi } from "vitest";
import { server, tab } from "./scripted.js";
import { pass, settle } from "./timers.js";

/** A middlebox that swallows streams: three fail, ten seconds each. */
async function openBehindMiddlebox(options = {}) {
  server.onStream = "silent";
  const stream = tab.open({ environment: { random: () => 0.01 }, ...options });
  await pass(32); // and the first poll takes a second
  expect(stream.getState()).toEqual({ status: "polling", shared: false });
  return stream;
}

test("where streams are swallowed, events come by long poll", async () => {
  const stream = await openBehindMiddlebox();
  expect(server.streams.length).toBe(3);
  expect(server.open).toEqual([]);
  await pass(2);
  server.create("One");
  await settle();
  server.create("Two");
  server.read([1]);
  await settle();
  expect(stream.titles()).toEqual(["One", "Two"]);
  expect(stream.names()).toEqual(["notification", "notification", "read"]);
  expect(stream.cursor).toBe("c-3");
});

test("the first poll is a short one, so that there is a cursor before anything can be lost", async () => {
  await openBehindMiddlebox();
  await pass(2);
  const polls = server.asked.filter((line) => line.includes("/poll"));
  expect(polls).toEqual(["GET /api/notifications/poll?timeout=1", "GET /api/notifications/poll?timeout=25&after=c-0"]);
});

test("an idle poll is renewed when its time is over, and not before", async () => {
  const stream = await openBehindMiddlebox({ streamRetry: 1e9 });
  await pass(1);
  const before = server.count("GET /api/notifications/poll");
  await pass(250);
  expect(server.count("GET /api/notifications/poll") - before).toBeLessThanOrEqual(11);
  expect(stream.getState().status).toBe("polling");
});

test("events of the stream are not repeated by a poll or stream", async () => {
  const stream = tab.open({ environment: { random: () => 0.01 } });
  await settle();
  server.create("One");
  server.onStream = "silent";
  server.latest.break();
  server.create("Two");
  await pass(25);
  expect(stream.getState().status).toBe("polling");
  server.create("Three");
  await settle();
  server.onStream = "serve";
  await pass(100);
  expect(stream.getState().status).toBe("open");
  server.create("Four");
  expect(stream.titles()).toEqual(["One", "Two", "Three", "Four"]);
});

test("it returns to the stream when it can, and never has two connections", async () => {
  const stream = await openBehindMiddlebox();
  await pass(90);
  expect(server.streams.length).toBe(4); // tried, and given up
  expect(stream.getState().status).toBe("polling");
  server.onStream = "serve";
  await pass(150);
  expect(stream.getState().status).toBe("open");
  expect(server.open.length).toBe(1);
  const polls = server.count("GET /api/notifications/poll");
  for (let minute = 0; minute < 5; minute++) {
    server.latest.send("heartbeat", { type: "heartbeat" });
    await pass(60);
  }
  expect(server.count("GET /api/notifications/poll")).toBe(polls);
});

test("a stream is tried less and less often", async () => {
  await openBehindMiddlebox();
  const before = server.streams.length;
  await pass(3600);
  expect(server.streams.length - before).toBeLessThan(11);
  expect(server.streams.length - before).toBeGreaterThan(6);
});

test("after a stream that lived, the next is tried as soon as the first time", async () => {
  const stream = await openBehindMiddlebox();
  await pass(1000);
  server.onStream = "serve";
  tab.goOnline();
  await pass(10);
  expect(stream.getState().status).toBe("open");
  server.onStream = "silent";
  server.latest.break();
  await pass(32);
  expect(stream.getState().status).toBe("polling");
  const tried = server.streams.length;
  await pass(90);
  expect(server.streams.length).toBe(tried + 1);
});

test("another network is a reason to try a stream at once", async () => {
  const stream = await openBehindMiddlebox();
  server.onStream = "serve";
  tab.show("visible");
  expect(server.streams.length).toBe(3);
  tab.goOnline();
  await settle();
  expect(stream.getState().status).toBe("open");
  expect(server.open.length).toBe(1);
});

test("a network that is down altogether is no reason to poll", async () => {
  server.onStream = "break";
  server.onRequest = "break";
  const stream = tab.open();
  await pass(300);
  expect(stream.getState().status).toBe("reconnecting");
  expect(server.count("GET /api/notifications/poll")).toBe(0);
});

test("with pollAfter: 0 it never polls", async () => {
  server.onStream = "silent";
  const stream = tab.open({ pollAfter: 0 });
  await pass(300);
  expect(stream.getState().status).toBe("reconnecting");
  expect(server.count("GET /api/notifications/poll")).toBe(0);
});

test("a poll that fails is tried again, with the same waits", async () => {
  const stream = await openBehindMiddlebox();
  server.onRequest = "break";
  await pass(26);
  expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "network" } });
  server.onRequest = "serve";
  server.create("Meanwhile");
  await pass(2);
  expect(stream.getState()).toEqual({ status: "polling", shared: false });
  expect(stream.titles()).toEqual(["Meanwhile"]);
});

test("a poll that is never answered is given up", async () => {
  const stream = await openBehindMiddlebox({ streamRetry: 1e9 });
  server.onRequest = "hang";
  await pass(62);
  expect(stream.states.some((state) => state.status === "reconnecting" && state.attempt === 1)).toBe(true);
  server.onRequest = "serve";
  server.create("Meanwhile");
  await pass(40);
  expect(stream.titles()).toEqual(["Meanwhile"]);
});

test("a poll that is refused gets one fresh token, then the user is signed out", async () => {
  const getToken = vi.fn(() => "a.test.token");
  const stream = await openBehindMiddlebox({ getToken });
  server.accepts = () => false;
  await pass(30);
  expect(stream.getState()).toEqual({ status: "closed", reason: "unauthorized" });
  expect(getToken).toHaveBeenLastCalledWith({ refresh: true });
});

test.each([
  ["nothing", "[]"],
  ["a reset", '[{"id": "c-0", "event": "reset", "data": {"reason": "again"}}]'],
])("a server that answers polls at once with %s is not flooded", async (_, events) => {
  const empty = vi.fn(async () => new Response(`{"events": ${events}, "cursor": "c-0"}`));
  tab.open({ environment: { EventSource: undefined, fetch: empty } });
  await pass(10);
  expect(empty.mock.calls.length).toBeLessThan(12);
});

test("each poll takes a ticket of its own", async () => {
  let issued = 0;
  const stream = tab.open({ getTicket: () => `t-${++issued}`, environment: { EventSource: undefined } });
  await pass(60);
  expect(stream.getState().status).toBe("polling");
  expect(server.asked.slice(0, 2)).toEqual([
    "GET /api/notifications/poll?timeout=1&ticket=t-1",
    "GET /api/notifications/poll?timeout=25&ticket=t-2&after=c-0",
  ]);
});

test("a poll of another user is refused", async () => {
  const stream = tab.open({ user: "ben", environment: { EventSource: undefined } });
  await pass(2);
  server.create();
  await settle();
  expect(stream.getState()).toEqual({ status: "closed", reason: "wrong-user" });
  expect(stream.received).toEqual([]);
});

test("close() ends the pending poll", async () => {
  const stream = await openBehindMiddlebox();
  const asked = server.asked.length;
  stream.close();
  await pass(300);
  expect(server.asked.length).toBe(asked);
});
