import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createInbox, type InboxOptions } from "../src/inbox/index.js";
import type { StreamOptions } from "../src/options.js";
import { createTab } from "./browser.js";
import { createScriptedServer, type ScriptedServer } from "./scripted-server.js";
import { createBrowser } from "./shared-browser.js";
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

function open(options: Partial<StreamOptions> = {}, inboxOptions: InboxOptions = {}) {
  const stream = tab.open(options);
  return { stream, ...watch(createInbox(stream, inboxOptions)) };
}

function watch(inbox: ReturnType<typeof createInbox>) {
  return {
    inbox,
    titles: () => inbox.getSnapshot().notifications.map(({ title }) => title),
    unreadTitles: () =>
      inbox
        .getSnapshot()
        .notifications.filter((one) => !one.is_read)
        .map(({ title }) => title),
    count: () => inbox.getSnapshot().unreadCount,
  };
}

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

test("what happens between the first fetch and the stream is not lost, nor counted twice", async () => {
  server.create("One");
  server.answerLag = () => 500;
  const { titles, unreadTitles, count } = open();
  await settle(); // the list of now is under way
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

test("a list that is newer than the stream is caught up with by it", async () => {
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

test("pages are loaded by and by, whatever happens meanwhile", async () => {
  for (let number = 1; number <= 7; number++) server.create(`No ${number}`);
  const { inbox, titles, count } = open({}, { pageSize: 3 });
  await settle();
  expect([titles(), count(), inbox.getSnapshot().hasMore]).toEqual([["No 7", "No 6", "No 5"], 7, true]);
  server.answerLag = () => 500;
  const loaded = inbox.loadMore();
  expect(inbox.getSnapshot().isLoadingMore).toBe(true);
  await inbox.loadMore(); // does nothing: one is under way
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

test("a page that was asked for before the list began anew is dropped", async () => {
  for (let number = 1; number <= 4; number++) server.create(`No ${number}`);
  const { inbox, titles } = open({}, { pageSize: 2 });
  await settle();
  server.answerLag = () => 500;
  const more = inbox.loadMore();
  await settle();
  server.answerLag = () => 100;
  await Promise.all([inbox.refresh(), more, pass(1)]);
  expect(titles()).toEqual(["No 4", "No 3"]);
  expect(inbox.getSnapshot().isLoadingMore).toBe(false);
});

test("a page that fails can be asked for again", async () => {
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

test("markAllAsRead leaves what comes afterwards unread", async () => {
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

test("markAllAsRead with nothing to do leaves nothing behind", async () => {
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

test("to remove what another device has removed is no error", async () => {
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
  ["markAsRead", (inbox: ReturnType<typeof createInbox>) => inbox.markAsRead([1])],
  ["markAllAsRead", (inbox: ReturnType<typeof createInbox>) => inbox.markAllAsRead()],
  ["remove", (inbox: ReturnType<typeof createInbox>) => inbox.remove(1)],
  ["archive", (inbox: ReturnType<typeof createInbox>) => inbox.archive([1])],
  ["archiveAll", (inbox: ReturnType<typeof createInbox>) => inbox.archiveAll()],
])("%s is taken back if it is refused", async (_, act) => {
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

test.each(["flush", "close"] as const)("%s() carries out what could still be undone", async (how) => {
  server.create("One");
  const { inbox } = open();
  await settle();
  inbox.remove(1, { undoFor: 7_000 });
  inbox[how]();
  await settle();
  expect(server.notifications.size).toBe(0);
});

test("a deletion outlives its page, with the token at hand", async () => {
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

test("what is taken back leaves alone what else has happened", async () => {
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

test("to mark nothing asks for nothing", async () => {
  const { inbox } = open();
  await settle();
  const asked = server.asked.length;
  await inbox.markAsRead([]);
  expect(server.asked.length).toBe(asked);
});

test("read on another device, the badge follows, also after being offline", async () => {
  server.create("One");
  server.create("Two");
  const here = open();
  const there = open();
  await settle();
  await here.inbox.markAsRead([1]);
  expect([there.count(), there.unreadTitles()]).toEqual([1, ["Two"]]);
  server.onStream = "break";
  server.latest.break(); // the stream of the other device
  await here.inbox.markAllAsRead();
  expect(there.count()).toBe(1);
  server.onStream = "serve";
  await pass(10);
  expect([there.count(), there.unreadTitles()]).toEqual([0, []]);
});

test("a reset fetches the list again", async () => {
  const { stream, titles, count } = open();
  await settle();
  server.latest.break();
  for (let number = 1; number <= 5; number++) server.create(`No ${number}`);
  server.keptFrom = 4;
  await pass(1);
  expect(stream.names().slice(-1)).toEqual(["reset"]);
  expect([titles().length, count()]).toEqual([5, 5]);
  server.create("No 6");
  expect(count()).toBe(6);
});

test("a list that cannot be fetched is tried again by itself", async () => {
  server.create("One");
  server.onRequest = 503;
  const { inbox, titles } = open();
  await settle();
  expect(inbox.getSnapshot()).toMatchObject({ status: "failed", error: { status: 503 } });
  server.onRequest = "serve";
  await pass(10);
  expect(inbox.getSnapshot()).toMatchObject({ status: "ready", error: null });
  expect(titles()).toEqual(["One"]);
});

test("where no stream comes about, the list is shown all the same, and fetched again once there is one", async () => {
  server.create("One");
  server.onStream = "silent";
  const { titles, count } = open();
  await pass(2);
  expect([titles(), count()]).toEqual([["One"], 1]);
  server.create("Two");
  server.onStream = "serve";
  await pass(15);
  expect([titles(), count()]).toEqual([["Two", "One"], 2]);
});

test("by long poll it is as true as by stream", async () => {
  server.create("One");
  const { inbox, titles, count } = open({ environment: { EventSource: undefined } });
  await pass(2);
  server.create("Two");
  await settle();
  server.read([1]);
  await settle();
  server.create("Three");
  await settle();
  expect([titles(), count()]).toEqual([["Three", "Two", "One"], 2]);
  await inbox.markAllAsRead();
  await settle();
  expect(count()).toBe(0);
});

test("a reset by long poll does not count anything twice", async () => {
  for (const title of ["Lost", "Lost too", "Lost as well"]) server.create(title);
  const { stream, titles, count } = open({ environment: { EventSource: undefined } });
  await pass(2);
  server.restore(0);
  server.notifications.clear();
  server.answerLag = () => 300;
  server.create("One");
  await settle(); // the reset has come, and the list is under way
  expect(stream.names()).toEqual(["reset"]);
  server.create("Two"); // not in it
  await pass(2);
  server.create("Three");
  await settle();
  expect([titles(), count()]).toEqual([["Three", "Two", "One"], 3]);
});

test("an answer from before a reset is dropped", async () => {
  const { inbox, titles, count } = open();
  await settle();
  server.create("One");
  server.answerLag = () => 5000;
  const refreshed = inbox.refresh();
  const counted = inbox.refreshUnreadCount();
  await settle();
  server.latest.break();
  server.create("Two");
  server.create("Three");
  server.keptFrom = 3;
  server.answerLag = () => 0;
  await pass(1);
  expect([titles(), count()]).toEqual([["Three", "Two", "One"], 3]);
  await pass(10);
  await Promise.all([refreshed, counted]);
  expect([titles(), count()]).toEqual([["Three", "Two", "One"], 3]);
});

test("the badge is never blank while a reset is made good", async () => {
  const { inbox, count } = open();
  await settle();
  const counts: unknown[] = [];
  inbox.subscribe(() => counts.push(count()));
  server.latest.break();
  server.create("One");
  server.create("Two");
  server.keptFrom = 2;
  server.answerLag = () => 300;
  await pass(2);
  expect(count()).toBe(2);
  expect(counts).not.toContain(null);
});

test("what is marked before the list has come is shown as marked when it comes", async () => {
  server.create("One");
  server.answerLag = () => 500;
  const { inbox, unreadTitles, titles } = open();
  await settle(); // the list is under way, with it unread
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

test("an inbox that is made when the stream has long been open is right too", async () => {
  const stream = tab.open();
  await settle();
  server.create("One");
  server.create("Two");
  server.answerLag = () => 500;
  const { count, titles } = watch(createInbox(stream));
  server.create("Three");
  await settle();
  server.create("Four");
  await pass(1);
  expect([titles().length, count()]).toEqual([4, 4]);
});

test("an inbox in a tab that shares the stream is right too", async () => {
  const browser = createBrowser(server);
  const leader = watch(createInbox(browser.open()));
  await settle();
  server.create("One");
  const follower = watch(createInbox(browser.open()));
  await settle();
  server.create("Two");
  await settle();
  await follower.inbox.markAsRead([1]);
  await settle();
  for (const { titles, count } of [leader, follower]) expect([titles(), count()]).toEqual([["Two", "One"], 1]);
});

test("the count can be asked for while the stream is down, and the stream corrects it", async () => {
  const { inbox, count } = open();
  await settle();
  server.onStream = "break";
  server.latest.break();
  server.create("One");
  server.create("Two");
  expect(count()).toBe(0);
  await inbox.refreshUnreadCount();
  expect(count()).toBe(2);
  server.onStream = "serve";
  await pass(10);
  expect(count()).toBe(2);
});

test("close() stops following and leaves no timer; the stream stays", async () => {
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
