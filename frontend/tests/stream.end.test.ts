import { expect, test, vi } from "vitest";
import { server, tab } from "./scripted.js";
import { pass, settle } from "./timers.js";

test("after a final closing only retryNow() reopens the stream", async () => {
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

test("a closing that allows it reconnects with a fresh token", async () => {
  const getToken = vi.fn(() => "a.test.token");
  const stream = tab.open({ getToken });
  await settle();
  server.latest.send("closing", { reason: "token-expired", reconnect: true });
  expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "ending" } });
  await pass(1);
  expect(stream.getState().status).toBe("open");
  expect(getToken.mock.calls).toEqual([[{ refresh: false }], [{ refresh: true }]]);
});

test("repeated closings are answered less and less often", async () => {
  const stream = tab.open();
  await settle();
  for (let times = 1; times <= 4; times++) {
    server.latest.send("closing", { reason: "token-expired", reconnect: true });
    expect(stream.getState()).toMatchObject({ status: "reconnecting", attempt: times });
    await pass(2 ** (times - 1) / 2);
  }
  expect(stream.getState().status).toBe("open");
});

test("another user's stream delivers nothing", async () => {
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

test("close() while the token is fetched opens nothing", async () => {
  const stream = tab.open();
  stream.close();
  await settle();
  expect(server.streams).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

test("close() in a listener ends a stream and a long poll", async () => {
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

test("a page in the back/forward cache closes and resumes", async () => {
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

test("a frozen page closes and resumes", async () => {
  const stream = tab.open();
  await settle();
  tab.freeze();
  expect(server.open).toEqual([]);
  server.create("Meanwhile");
  tab.thaw();
  await settle();
  expect(stream.titles()).toEqual(["Meanwhile"]);
});
