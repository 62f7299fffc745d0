import { expect, test, vi } from "vitest";
import { browser, openTabs, server } from "./scripted.js";
import { pass, settle } from "./timers.js";

test("a final end closes all tabs until another one opens", async () => {
  const tabs = await openTabs(3);
  server.latest.send("closing", { reason: "connection-limit", reconnect: false });
  await settle();
  for (const tab of tabs) expect(tab.getState()).toMatchObject({ status: "closed", reason: "ended" });
  browser.open();
  await settle();
  for (const tab of tabs) expect(tab.getState().status).toBe("open");
  expect(server.open.length).toBe(1);
});

test("tabs that are closed for good stay so without their leader", async () => {
  const [leader, second, third] = await openTabs(3);
  server.latest.send("closing", { reason: "connection-limit", reconnect: false });
  await settle();
  leader.close();
  third?.tab.freeze();
  third?.tab.thaw();
  await pass(3600);
  expect(server.streams.length).toBe(1);
  for (const tab of [second, third]) expect(tab?.getState()).toMatchObject({ status: "closed", reason: "ended" });
  third?.retryNow();
  await settle();
  for (const tab of [second, third]) expect(tab?.getState().status).toBe("open");
  expect(server.open.length).toBe(1);
});

test("retryNow() in one tab retries for all", async () => {
  const [first, second] = await openTabs(2);
  server.latest.send("closing", { reason: "evicted", reconnect: false });
  await settle();
  second?.retryNow();
  await settle();
  expect(first.getState().status).toBe("open");
  expect(second?.getState().status).toBe("open");
});

test("an error that cannot be cloned is passed on as text", async () => {
  const tabs = await openTabs(2);
  const failing = browser.open({ user: "ben", getToken: () => Promise.reject(() => "not a thing to copy") });
  const follower = browser.open({ user: "ben" });
  await settle();
  expect(failing.getState()).toMatchObject({ status: "reconnecting", error: { kind: "credentials" } });
  expect(follower.getState()).toMatchObject({ status: "reconnecting", error: { cause: expect.any(String) } });
  expect(tabs.length).toBe(2);
});

test.each(["connecting", "open", "reconnecting"])(
  "close() in a shared tab's listener of %s ends the stream",
  async (status) => {
    const [leader] = await openTabs(1);
    server.create();
    const other = browser.open({ autoConnect: false });
    other.subscribe(() => other.getState().status === status && other.close());
    other.connect();
    await settle();
    leader.tab.freeze();
    await settle();
    leader.close();
    await pass(100);
    expect(other.getState()).toEqual({ status: "closed", reason: "closed" });
    expect(server.open).toEqual([]);
    expect(browser.channels.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  },
);

test("close() in a listener of a missed event ends the stream", async () => {
  const [, other] = await openTabs(2);
  other?.tab.leave();
  server.create("One");
  server.create("Two");
  other?.on("notification", () => other.close());
  other?.tab.comeBack();
  await settle();
  expect(other?.titles()).toEqual(["One"]);
  expect(other?.getState()).toEqual({ status: "closed", reason: "closed" });
});

test("close() leaves no timer, no channel and no lock request", async () => {
  const tabs = await openTabs(3);
  for (const tab of tabs.reverse()) tab.close();
  await settle();
  expect(vi.getTimerCount()).toBe(0);
  expect(browser.channels.size).toBe(0);
  expect(server.open).toEqual([]);
  expect(server.streams.length).toBe(1);
});
