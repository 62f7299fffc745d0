import { expect, test, vi } from "vitest";
import { createInbox } from "../src/inbox/index.js";
import { browser, server, tab } from "./scripted.js";
import { pass, settle } from "./timers.js";
import { open, watch } from "./watched-inbox.js";

const LIST = "GET /api/notifications?";

test("it shows the list and the count, and follows the stream", async () => {
  server.create("One");
  server.create("Two");
  server.read([1]);
  const { inbox, titles, count } = open();
  expect(inbox.getSnapshot()).toMatchObject({ status: "loading", notifications: [], unreadCount: null });
  await settle();
  expect(inbox.getSnapshot()).toMatchObject({ status: "ready", hasMore: false, error: null });
  expect([titles(), count()]).toEqual([["Two", "One"], 1]);
  server.create("Three");
  expect([titles(), count()]).toEqual([["Three", "Two", "One"], 2]);
  server.read("all");
  server.remove(1);
  expect([titles(), count()]).toEqual([["Three", "Two"], 0]);
  expect(server.count(LIST)).toBe(1);
});

test("a snapshot is the same object until something changes, and is never changed", async () => {
  server.create("One");
  const { inbox, stream } = open();
  await settle();
  const before = inbox.getSnapshot();
  const received = vi.fn();
  const end = inbox.subscribe(received);
  server.latest.send("heartbeat", { type: "heartbeat" });
  expect(inbox.getSnapshot()).toBe(before);
  expect(received).not.toHaveBeenCalled();
  server.create("Two");
  expect(received).toHaveBeenCalledOnce();
  expect(inbox.getSnapshot()).not.toBe(before);
  expect(before.notifications.map(({ title }) => title)).toEqual(["One"]);
  expect(() => (before.notifications as unknown[]).push("x")).toThrow(TypeError);
  end();
  server.create("Three");
  expect(received).toHaveBeenCalledOnce();
  stream.close();
});

test("events between the first fetch and the stream count once", async () => {
  server.create("One");
  server.answerLag = () => 500;
  const { titles, unreadTitles, count } = open();
  await settle(); // the current list is pending
  server.create("Two");
  server.read([1]);
  server.create("Three");
  server.remove(2);
  await pass(1);
  expect([titles(), unreadTitles(), count()]).toEqual([["Three", "One"], ["Three"], 1]);
});

test("an older list does not undo what the stream delivered", async () => {
  server.create("One");
  server.create("Two");
  const { inbox, titles, unreadTitles, count } = open();
  await settle();
  server.answerLag = () => 500;
  const refreshed = inbox.refresh();
  await settle();
  server.remove(1);
  server.read("all");
  server.create("Three");
  await pass(1);
  await refreshed;
  expect([titles(), unreadTitles(), count()]).toEqual([["Three", "Two"], ["Three"], 1]);
});

test("a stream older than the list does not undo it", async () => {
  const { inbox, titles, unreadTitles, count } = open();
  await settle();
  server.eventLag = () => 1000;
  server.create("One");
  server.create("Two");
  server.read("all");
  server.create("Three");
  await inbox.refresh();
  expect(titles()).toEqual(["Three", "Two", "One"]);
  await pass(1);
  expect([unreadTitles(), count()]).toEqual([["Three"], 1]);
});

test("pages are loaded on demand, whatever happens meanwhile", async () => {
  for (let number = 1; number <= 7; number++) server.create(`No ${number}`);
  const { inbox, titles, count } = open({}, { pageSize: 3 });
  await settle();
  expect([titles(), count(), inbox.getSnapshot().hasMore]).toEqual([["No 7", "No 6", "No 5"], 7, true]);
  server.answerLag = () => 500;
  const loaded = inbox.loadMore();
  expect(inbox.getSnapshot().isLoadingMore).toBe(true);
  await inbox.loadMore(); // does nothing: one is pending
  await settle();
  server.remove(3);
  server.create("No 8");
  await pass(1);
  await loaded;
  expect([titles(), count()]).toEqual([["No 8", "No 7", "No 6", "No 5", "No 4", "No 2"], 7]);
  server.answerLag = () => 0;
  await inbox.loadMore();
  await inbox.loadMore();
  expect([titles().at(-1), inbox.getSnapshot().hasMore]).toEqual(["No 1", false]);
  expect(server.count(LIST)).toBe(3);
});

test("a page requested before a refresh leaves no gap", async () => {
  for (let number = 1; number <= 5; number++) server.create(`No ${number}`);
  const { inbox, titles } = open({}, { pageSize: 2 });
  await settle();
  server.answerLag = () => 500;
  const more = inbox.loadMore(); // what lies below No 4
  await settle();
  server.remove(4);
  server.answerLag = () => 100;
  await Promise.all([inbox.refresh(), more, pass(1)]);
  expect(titles()).toEqual(["No 5", "No 3"]);
  expect(inbox.getSnapshot()).toMatchObject({ isLoadingMore: false, hasMore: true });
  await Promise.all([inbox.loadMore(), pass(1)]);
  expect(titles()).toEqual(["No 5", "No 3", "No 2", "No 1"]);
});

test("a page that fails can be requested again", async () => {
  for (let number = 1; number <= 4; number++) server.create(`No ${number}`);
  const { inbox, titles } = open({}, { pageSize: 2 });
  await settle();
  server.onRequest = 503;
  await expect(inbox.loadMore()).rejects.toMatchObject({ status: 503 });
  expect(inbox.getSnapshot()).toMatchObject({ status: "ready", isLoadingMore: false, error: { status: 503 } });
  server.onRequest = "serve";
  await inbox.loadMore();
  expect(titles().length).toBe(4);
  expect(inbox.getSnapshot().error).toBeNull();
});

test("an inbox over a stream that is open already is current", async () => {
  const stream = tab.open();
  await settle();
  server.create("One");
  server.create("Two");
  server.answerLag = () => 500;
  const { count, titles } = watch(stream);
  server.create("Three");
  await settle();
  server.create("Four");
  await pass(1);
  expect([titles().length, count()]).toEqual([4, 4]);
});

test("an inbox in a tab that shares the stream is current", async () => {
  const leader = watch(browser.open());
  await settle();
  server.create("One");
  const follower = watch(browser.open());
  await settle();
  server.create("Two");
  await settle();
  await follower.inbox.markAsRead([1]);
  await settle();
  for (const { titles, count } of [leader, follower]) expect([titles(), count()]).toEqual([["Two", "One"], 1]);
});

test("close() stops following, and leaves the stream open", async () => {
  const { inbox, stream, titles } = open();
  await settle();
  inbox.close();
  server.create("One");
  expect(titles()).toEqual([]);
  expect(stream.getState().status).toBe("open");
  stream.close();
  createInbox(tab.open({ autoConnect: false })).close();
  expect(vi.getTimerCount()).toBe(0);
});

test.each([0, 201, 1.5, Number.NaN])("a page size of %s is refused", (pageSize) => {
  expect(() => createInbox(tab.open({ autoConnect: false }), { pageSize })).toThrow(/pageSize must be/);
});
