import { beforeEach, expect, test, vi } from "vitest";
import type { InboxOptions } from "../src/inbox/index.js";
import { server, tab } from "./scripted.js";
import { pass, settle } from "./timers.js";
import { watch } from "./watched-inbox.js";

let stream: ReturnType<typeof tab.open>;

beforeEach(() => {
  stream = tab.open();
});

/** One more inbox over the same stream. */
const open = (options: InboxOptions = {}) => watch(stream, options);

test("what is replaced rises to the top, in place of the former", async () => {
  const { inbox, titles, count } = open();
  await settle();
  server.put("build", "Build 10 %");
  server.create("Other");
  server.put("build", "Build 100 %");
  expect([titles(), count()]).toEqual([["Build 100 %", "Other"], 2]);
  await inbox.markAllAsRead();
  server.put("build", "Build 100 %, signed", { quiet: true });
  expect([titles(), count()]).toEqual([["Build 100 %, signed", "Other"], 0]);
  server.put("build", "Folded", { fold: true });
  server.put("build", "Folded", { fold: true });
  expect(inbox.getSnapshot().notifications[0]).toMatchObject({ title: "Folded", count: 2, is_read: false });
  server.retract("build");
  expect([titles(), count()]).toEqual([["Other"], 0]);
});

test("what is archived and brought back keeps its place", async () => {
  for (const title of ["One", "Two", "Three"]) server.create(title);
  const { inbox, titles, count } = open();
  await settle();
  server.eventLag = () => 500;
  const archived = inbox.archive([2]);
  expect([titles(), count()]).toEqual([["Three", "One"], 2]);
  await archived;
  const back = inbox.unarchive([2]);
  expect([titles(), count()]).toEqual([["Three", "Two", "One"], 3]);
  await back;
  await pass(2);
  expect([titles(), count()]).toEqual([["Three", "Two", "One"], 3]);
});

test("unread again is refused and taken back as any other change", async () => {
  server.create("One");
  server.read("all");
  const { inbox, count } = open();
  await settle();
  server.onRequest = 503;
  const refused = inbox.markAsUnread([1]);
  expect(count()).toBe(1);
  await expect(refused).rejects.toMatchObject({ status: 503 });
  expect(count()).toBe(0);
  server.onRequest = "serve";
  await inbox.markAsUnread([1]);
  expect(count()).toBe(1);
});

test("a change that does nothing leaves nothing behind", async () => {
  server.create("One");
  server.archive([1]);
  const { inbox, titles } = open({ archived: true });
  await settle();
  server.eventLag = () => 400;
  server.unarchive([1]);
  server.archive([1]);
  const nothing = inbox.archive([1]); // which it is already
  await settle();
  server.unarchive([1]);
  await nothing;
  await pass(2);
  expect(titles()).toEqual([]);
});

test("tabs of one stream share counts and pending changes", async () => {
  server.create("Bill", { category: "billing" });
  server.create("Bill 2", { category: "billing" });
  server.create("Chat", { category: "chat" });
  const [all, bills, archive] = [open(), open({ category: "billing", byCategory: true }), open({ archived: true })];
  await pass(1);
  expect([all.titles(), bills.titles(), archive.titles()]).toEqual([
    ["Chat", "Bill 2", "Bill"],
    ["Bill 2", "Bill"],
    [],
  ]);
  expect(bills.inbox.getSnapshot().byCategory).toEqual({ billing: 2, chat: 1 });
  server.answerLag = server.eventLag = () => 300;
  const archived = bills.inbox.archive([1]);
  expect([all.titles(), bills.titles(), archive.titles()]).toEqual([["Chat", "Bill 2"], ["Bill 2"], ["Bill"]]);
  expect([all.count(), bills.inbox.getSnapshot().byCategory]).toEqual([2, { billing: 1, chat: 1 }]);
  await pass(2);
  await archived;
  expect([all.count(), bills.inbox.getSnapshot().byCategory]).toEqual([2, { billing: 1, chat: 1 }]);
  expect(archive.titles()).toEqual(["Bill"]);
});

test("no counts by category are asked for that nobody shows", async () => {
  open();
  await settle();
  server.create("Bill", { category: "billing" });
  await pass(5);
  expect(server.count("GET /api/notifications/counts")).toBe(0);
});

test("all of a category is all of it, and nothing else", async () => {
  for (let number = 0; number < 250; number += 1) server.create(`No ${number}`, { category: "a" });
  server.create("Other", { category: "b" });
  const { inbox, count } = open({ category: "a" });
  await settle();
  await inbox.markAllAsRead();
  await settle();
  expect([count(), server.unread]).toEqual([1, 1]);
  await inbox.archiveAll();
  expect(server.page(new URLSearchParams()).notifications.map(({ title }) => title)).toEqual(["Other"]);
});

test("all of the unread is archived, and what was read stays", async () => {
  for (const title of ["One", "Two", "Three"]) server.create(title);
  server.read([2]);
  const { inbox, titles } = open({ unread: true });
  await settle();
  await inbox.archiveAll();
  expect(titles()).toEqual([]);
  expect(server.page(new URLSearchParams()).notifications.map(({ title }) => title)).toEqual(["Two"]);
});

test("a search asks the service, and follows the stream", async () => {
  server.create("Invoice for May");
  server.create("Lunch");
  const { titles } = open({ search: " invoice  MAY " });
  await settle();
  expect(titles()).toEqual(["Invoice for May"]);
  expect(server.asked.at(-1)).toContain("q=invoice++MAY");
  server.create("May I see the invoice?");
  server.create("Dinner");
  expect(titles()).toEqual(["May I see the invoice?", "Invoice for May"]);
});

test("seen is one request, and none where nothing is unseen", async () => {
  const { inbox } = open();
  await settle();
  await inbox.markAsSeen();
  server.create("One");
  expect(inbox.getSnapshot().unseenCount).toBe(1);
  await inbox.markAsSeen();
  expect(inbox.getSnapshot()).toMatchObject({ unseenCount: 0, unreadCount: 1 });
  await inbox.markAsSeen();
  expect(server.count("POST /api/notifications/seen")).toBe(1);
});

test("seen is shown at once, and taken back if the service refuses", async () => {
  const { inbox } = open();
  await settle();
  server.create("One");
  server.onRequest = 503;
  const refused = inbox.markAsSeen();
  expect(inbox.getSnapshot().unseenCount).toBe(0);
  await expect(refused).rejects.toMatchObject({ status: 503 });
  expect(inbox.getSnapshot().unseenCount).toBe(1);
});

test("1,000 replaces of a key end with one row and a badge of 1", async () => {
  const { inbox, count } = open();
  await settle();
  for (let number = 1; number <= 1_000; number += 1) server.put("build", `Build ${number / 10} %`);
  expect(count()).toBe(1);
  expect(inbox.getSnapshot().notifications).toMatchObject([{ title: "Build 100 %", revision: 1_000 }]);
});

test("a refresh keeps the scroll position of a user further down", async () => {
  for (let number = 0; number < 9; number += 1) server.create(`No ${number}`);
  const { inbox, titles } = open({ pageSize: 3 });
  await settle();
  await inbox.loadMore();
  await inbox.refresh();
  expect(titles()).toHaveLength(6);
});

test("the last inbox that is closed leaves no timer", async () => {
  const [one, other] = [open(), open({ category: "a", byCategory: true })];
  await settle();
  one.inbox.close();
  server.create("One", { category: "a" });
  expect(other.titles()).toEqual(["One"]);
  other.inbox.close();
  stream.close();
  expect(vi.getTimerCount()).toBe(0);
});
