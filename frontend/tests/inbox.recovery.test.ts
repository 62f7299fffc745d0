import { expect, test } from "vitest";
import { server } from "./scripted.js";
import { pass, settle } from "./timers.js";
import { open } from "./watched-inbox.js";

test("the badge follows another device, also after an outage", async () => {
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

test("a list that cannot be fetched is retried", async () => {
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

test("without a stream the list is shown, and refetched with one", async () => {
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

test("long polls keep it as current as a stream", async () => {
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

test("a reset by long poll counts nothing twice", async () => {
  for (const title of ["Lost", "Lost too", "Lost as well"]) server.create(title);
  const { stream, titles, count } = open({ environment: { EventSource: undefined } });
  await pass(2);
  server.restore(0);
  server.notifications.clear();
  server.answerLag = () => 300;
  server.create("One");
  await settle(); // the reset has come, and the list is pending
  expect(stream.names()).toEqual(["reset"]);
  server.create("Two"); // not in it
  await pass(2);
  server.create("Three");
  await pass(1);
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

test("the badge is never blank during a reset", async () => {
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

test("the count can be fetched while the stream is down", async () => {
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
