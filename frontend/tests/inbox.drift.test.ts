import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createInbox } from "../src/inbox/index.js";
import { createTab } from "./browser.js";
import { createScriptedServer } from "./scripted-server.js";
import { createBrowser } from "./shared-browser.js";
import { pass } from "./timers.js";

const SEEDS = 150;
const STEPS = 60;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** The same numbers from 0 to 1 for the same seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

test.each(Array.from({ length: SEEDS }, (_, seed) => seed))(
  "whatever happens in whatever order, in the end list and badge are the service's (seed %i)",
  async (seed) => {
    const random = createRandom(seed);
    const upTo = (limit: number) => Math.floor(random() * limit);
    const server = createScriptedServer();
    server.answerLag = () => (random() < 0.5 ? 0 : upTo(300));
    server.eventLag = () => (random() < 0.5 ? 0 : upTo(300));
    const browser = createBrowser(server);
    const alone = createTab(server);
    for (let number = 0; number < upTo(8); number++) server.create();
    const streams = [
      alone.open({ environment: { random } }),
      browser.open({ environment: { random } }),
      browser.open({ environment: { random } }),
      alone.open({ environment: { random, EventSource: undefined } }),
    ];
    const inboxes = streams.map((stream) => createInbox(stream, { pageSize: 200 }));
    const anyInbox = () => inboxes[upTo(inboxes.length)] as (typeof inboxes)[number];
    const anyId = () => 1 + upTo(server.created); // also of one that is gone
    const happen: (() => unknown)[] = [
      () => server.create(),
      () => server.create(),
      () => server.read([anyId(), anyId()]),
      () => server.read("all"),
      () => server.remove(anyId()),
      () => anyInbox().markAsRead([anyId(), anyId()]),
      () => anyInbox().markAllAsRead(),
      () => anyInbox().remove(anyId()),
      () => anyInbox().refresh(),
      () => anyInbox().refreshUnreadCount(),
      () => server.open[upTo(server.open.length)]?.break(),
      () => {
        server.onStream = random() < 0.5 ? "serve" : "break";
      },
      () => {
        server.onRequest = random() < 0.7 ? "serve" : "break";
      },
      () => {
        server.keptFrom = Math.max(server.keptFrom, server.head - upTo(10));
      },
      () => alone.freeze(),
      () => alone.thaw(),
      () => streams[1]?.retryNow(),
    ];
    for (let step = 0; step < STEPS; step++) {
      Promise.resolve(happen[upTo(happen.length)]?.()).catch(() => {}); // a change may be refused
      if (random() < 0.5) await pass(random());
    }
    server.onStream = server.onRequest = "serve";
    alone.thaw();
    server.open.at(-1)?.break();
    await pass(120);
    const expected = {
      unreadCount: server.unread,
      notifications: [...server.notifications.values()].map(({ id, is_read }) => [id, is_read]).reverse(),
    };
    for (const [number, inbox] of inboxes.entries()) {
      const { notifications, unreadCount } = inbox.getSnapshot();
      const shown = { unreadCount, notifications: notifications.map(({ id, is_read }) => [id, is_read]) };
      expect(shown, `inbox ${number}`).toEqual(expected);
      const told = streams[number]?.heard.flatMap(({ event, id }) =>
        event === "notification" || event === "read" || event === "deleted" ? [Number(id?.slice(2))] : [],
      );
      expect(told, `stream ${number} told each event once, in order`).toEqual([...new Set(told)].sort((a, b) => a - b));
    }
  },
);
