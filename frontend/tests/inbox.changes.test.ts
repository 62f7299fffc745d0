import { expect, test, vi } from "vitest";
import type { Inbox } from "../src/inbox/index.js";
import { server } from "./scripted.js";
import { pass, settle } from "./timers.js";
import { open } from "./watched-inbox.js";

test("markAsRead shows at once, and once only", async () => {
  server.create("One");
  server.create("Two");
  const { inbox, unreadTitles, count } = open();
  await settle();
  server.answerLag = () => 200;
  server.eventLag = () => 500;
  const marked = inbox.markAsRead([1, 99]);
  expect([unreadTitles(), count()]).toEqual([["Two"], 1]);
  await pass(0.3);
  await marked; // the answer is here, and the event is not
  expect([unreadTitles(), count()]).toEqual([["Two"], 1]);
  await pass(1);
  expect([unreadTitles(), count()]).toEqual([["Two"], 1]);
});

test("markAllAsRead leaves later notifications unread", async () => {
  for (let number = 1; number <= 5; number++) server.create(`No ${number}`);
  const { inbox, unreadTitles, count } = open({}, { pageSize: 2 });
  await settle();
  server.answerLag = () => 200;
  server.eventLag = () => 500;
  const marked = inbox.markAllAsRead();
  expect([unreadTitles(), count()]).toEqual([[], 0]);
  await settle();
  server.create("New");
  await pass(0.6);
  await marked;
  expect([unreadTitles(), count()]).toEqual([["New"], 1]);
});

test("markAllAsRead without unread ones changes nothing", async () => {
  server.create("One");
  server.read("all");
  const { inbox, unreadTitles, count } = open();
  await settle();
  await inbox.markAllAsRead();
  server.create("Two");
  expect([unreadTitles(), count()]).toEqual([["Two"], 1]);
});

test("remove hides at once", async () => {
  server.create("One");
  server.create("Two");
  const { inbox, titles, count } = open();
  await settle();
  server.eventLag = () => 500;
  const removed = inbox.remove(2);
  expect([titles(), count()]).toEqual([["One"], 1]);
  await removed;
  expect([titles(), count()]).toEqual([["One"], 1]);
  await pass(1);
  expect([titles(), count()]).toEqual([["One"], 1]);
});

test("removing what another device removed is no error", async () => {
  server.create("One");
  const { inbox, titles } = open();
  await settle();
  server.eventLag = () => 500;
  server.remove(1);
  await inbox.remove(1);
  await pass(1);
  expect(titles()).toEqual([]);
});

test.each([
  ["markAsRead", (inbox: Inbox) => inbox.markAsRead([1])],
  ["markAllAsRead", (inbox: Inbox) => inbox.markAllAsRead()],
  ["remove", (inbox: Inbox) => inbox.remove(1)],
  ["archive", (inbox: Inbox) => inbox.archive([1])],
  ["archiveAll", (inbox: Inbox) => inbox.archiveAll()],
])("%s is undone if the service refuses it", async (_, act) => {
  server.create("One");
  server.create("Two");
  const { inbox, unreadTitles, count } = open();
  await settle();
  server.onRequest = 503;
  const refused = act(inbox);
  expect(unreadTitles()).not.toContain("One");
  await expect(refused).rejects.toMatchObject({ status: 503 });
  expect([unreadTitles(), count()]).toEqual([["Two", "One"], 2]);
});

test("a removal can be undone until the service is asked", async () => {
  server.create("One");
  server.create("Two");
  const { inbox, titles, count } = open();
  await settle();
  const removed = inbox.remove(2, { undoFor: 7_000 });
  expect([titles(), count()]).toEqual([["One"], 1]);
  await pass(6);
  inbox.restore(2);
  await removed;
  expect([titles(), count()]).toEqual([["Two", "One"], 2]);
  expect(server.count("DELETE")).toBe(0);

  inbox.remove(2, { undoFor: 7_000 });
  await pass(7);
  expect([titles(), server.count("DELETE")]).toEqual([["One"], 1]);
  inbox.restore(2); // too late
  inbox.restore(99);
  await settle();
  expect(titles()).toEqual(["One"]);
});

test.each(["flush", "close"] as const)("%s() sends removals that could still be undone", async (how) => {
  server.create("One");
  const { inbox } = open();
  await settle();
  inbox.remove(1, { undoFor: 7_000 });
  inbox[how]();
  await settle();
  expect(server.notifications.size).toBe(0);
});

test("a deletion outlives its page, with the cached token", async () => {
  server.create("One");
  const fetch = vi.fn(server.fetch);
  const getToken = vi.fn(() => "a.test.token");
  const { inbox } = open({ getToken, environment: { fetch } });
  await settle();
  getToken.mockClear();
  await inbox.remove(1);
  expect(fetch.mock.lastCall?.[1]).toMatchObject({ method: "DELETE", keepalive: true });
  expect(getToken).not.toHaveBeenCalled();
});

test("any number can be marked read at once", async () => {
  for (let number = 0; number < 2_500; number += 1) server.create();
  const { inbox, count } = open();
  await settle();
  const fetch = vi.spyOn(server, "read");
  const marked = inbox.markAsRead(Array.from({ length: 1_500 }, (_, index) => index + 1001));
  await settle();
  await marked;
  expect(count()).toBe(1_000);
  expect(fetch.mock.calls.map(([ids]) => ids.length)).toEqual([1_000, 500]);
});

test("undoing a refused change keeps the other changes", async () => {
  server.create("One");
  server.create("Two");
  const { inbox, unreadTitles, count } = open();
  await settle();
  const kept = inbox.markAsRead([1, 2]);
  server.onRequest = "break";
  const refused = inbox.markAsRead([2]).catch((error: unknown) => error);
  server.create("Three");
  expect(await refused).toBeInstanceOf(TypeError);
  await kept.catch(() => {});
  expect([unreadTitles(), count()]).toEqual([["Three", "Two", "One"], 3]);
});

test("marking no id sends no request", async () => {
  const { inbox } = open();
  await settle();
  const asked = server.asked.length;
  await inbox.markAsRead([]);
  expect(server.asked.length).toBe(asked);
});

test("what is marked before the list arrives is shown as marked", async () => {
  server.create("One");
  server.answerLag = () => 500;
  const { inbox, unreadTitles, titles } = open();
  await settle(); // the list is pending, with it unread
  server.answerLag = () => 2000;
  server.eventLag = () => 3000;
  const marked = inbox.markAsRead([1]);
  server.latest.sendRaw("heartbeat", "{}");
  await pass(1);
  expect([titles(), unreadTitles()]).toEqual([["One"], []]);
  await pass(5);
  await marked;
  expect(unreadTitles()).toEqual([]);
});
