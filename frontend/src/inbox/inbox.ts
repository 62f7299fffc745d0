import { statusOf } from "../api-error.js";
import type { StreamEvent } from "../events.js";
import { createListeners } from "../listeners.js";
import type { NotificationStream } from "../types.js";
import { createUnreadCounter } from "../unread.js";
import { createChanges } from "./changes.js";
import { firstPage } from "./initial.js";
import { createNotificationList, type Page } from "./list.js";
import type { Inbox, InboxOptions, InboxSnapshot } from "./types.js";

const PATIENCE = 2_000; // how long to wait for the stream before the list is fetched without it
const RETRY = 10_000; // after a fetch that failed
const PART = 1_000; // ids that the service takes in one request

/**
 * Keep a user's notifications, by REST and by the events of `stream`.
 *
 * The list is fetched once the stream has a cursor, and what happens from then on is applied to it, so that nothing
 * falls between the two.
 *
 * @throws TypeError naming an option that is wrong.
 */
export function createInbox(stream: NotificationStream, { pageSize = 30, initial }: InboxOptions = {}): Inbox {
  if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize > 200) {
    throw new TypeError("shirase: pageSize must be an integer from 1 to 200");
  }
  const list = createNotificationList();
  const unread = createUnreadCounter();
  const changes = createChanges(list);
  const listeners = createListeners<void>();
  const undoable = new Map<number, (isUndone: boolean) => void>(); // what settles a removal that waits, by its id
  const recordings = new Set<StreamEvent[]>(); // of what comes while something is fetched
  let status: InboxSnapshot["status"] = "loading";
  let error: unknown = null;
  let isLoadingMore = false;
  let generation = 0; // numbers the fetches of the newest page: an answer to an earlier one is late
  let covered = false; // whether the events since the last such fetch began are all told to us
  let snapshot: InboxSnapshot | null = null;
  let closed = false;

  if (initial) {
    const page = firstPage(initial, pageSize);
    generation = 1;
    covered = stream.cursor === initial.cursor; // what happened in between would be missed otherwise
    list.replace(page, []);
    count(page, []);
    status = "ready";
  }

  const ends = [stream.listen(follow), stream.subscribe(begin)];
  let timer = setTimeout(begin, PATIENCE, true);
  begin();

  /** Fetch the list as soon as the stream has a place in the log, or cannot get one for now. */
  function begin(impatient = false): void {
    const state = stream.getState();
    const { status: stands } = state;
    if (stands === "reconnecting" && state.error.kind === "offline") return;
    const alone = impatient ? stands !== "idle" : stands === "reconnecting" || stands === "closed";
    if (stream.cursor !== null ? covered : !alone || generation > 0) return;
    clearTimeout(timer);
    refresh().catch(() => {
      if (!closed) timer = setTimeout(begin, RETRY);
    });
  }

  function follow(event: StreamEvent): void {
    for (const recording of recordings) recording.push(event);
    unread.apply(event);
    list.apply(event);
    changes.settle();
    if (event.event === "reset") covered = false;
    if (event.event === "reset" || event.event === "connected") begin();
    if (event.event !== "heartbeat" && event.event !== "closing") publish();
  }

  async function refresh(): Promise<void> {
    const mine = ++generation;
    covered = stream.cursor !== null;
    try {
      await fetchPage("", (page, since) => {
        if (mine !== generation) return;
        list.replace(page, since);
        changes.settle();
        count(page, since);
        status = "ready";
        error = null;
      });
    } catch (problem) {
      if (mine === generation) {
        covered = false;
        if (status === "loading") status = "failed";
        error = problem;
      }
      throw problem;
    } finally {
      publish();
    }
  }

  async function loadMore(): Promise<void> {
    if (isLoadingMore || list.before === null) return;
    const mine = generation;
    isLoadingMore = true;
    publish();
    try {
      await fetchPage(`&before=${list.before}`, (page, since) => {
        if (mine === generation) list.extend(page, since);
        error = null;
      });
    } catch (problem) {
      error = problem;
      throw problem;
    } finally {
      isLoadingMore = false;
      publish();
    }
  }

  async function fetchPage(rest: string, take: (page: Page, since: StreamEvent[]) => void, limit = pageSize) {
    const since: StreamEvent[] = [];
    recordings.add(since);
    try {
      take((await stream.request("GET", `/api/notifications?limit=${limit}${rest}`)) as Page, since);
    } finally {
      recordings.delete(since);
    }
  }

  function count(page: Page, since: StreamEvent[]): void {
    unread.assume(page.unread_count, page.notifications[0]?.id ?? 0);
    for (const event of since) unread.apply(event);
  }

  async function refreshUnreadCount(): Promise<void> {
    const mine = generation;
    await fetchPage(
      "",
      (page, since) => {
        if (mine === generation) count(page, since); // otherwise a newer one is on its way, or here
      },
      1,
    );
    publish();
  }

  async function markAsRead(ids: readonly number[]): Promise<void> {
    const parts: Promise<void>[] = [];
    for (let start = 0; start < ids.length; start += PART) {
      const part = ids.slice(start, start + PART);
      parts.push(change("read", part, "POST", "/api/notifications/read", { ids: part }));
    }
    await Promise.all(parts);
  }

  async function markAllAsRead(): Promise<void> {
    await change("read", "all", "POST", "/api/notifications/read-all");
  }

  async function remove(id: number, { undoFor = 0 } = {}): Promise<void> {
    await change("remove", [id], "DELETE", `/api/notifications/${id}`, undefined, () => isUndone(id, undoFor));
  }

  function isUndone(id: number, delay: number): Promise<boolean> | false {
    if (delay === 0 || closed) return false;
    return new Promise((resolve) => {
      const timer = setTimeout(settle, delay, false);
      function settle(answer: boolean): void {
        clearTimeout(timer);
        undoable.delete(id);
        resolve(answer);
      }
      undoable.set(id, settle);
    });
  }

  function flush(): void {
    for (const settle of [...undoable.values()]) settle(false);
  }

  async function change(
    kind: "read" | "remove",
    ids: readonly number[] | "all",
    method: string,
    path: string,
    body?: unknown,
    isUndone: () => Promise<boolean> | false = () => false,
  ): Promise<void> {
    const change = changes.begin(kind, ids);
    publish();
    try {
      if (await isUndone()) changes.drop(change);
      else await stream.request(method, path, body);
    } catch (problem) {
      // What somebody else has removed meanwhile is removed.
      if (kind !== "remove" || statusOf(problem) !== 404) {
        changes.drop(change);
        throw problem;
      }
    } finally {
      change.done = true;
      changes.settle();
      publish();
    }
  }

  function publish(): void {
    snapshot = null;
    listeners.tell();
  }

  function getSnapshot(): InboxSnapshot {
    if (!snapshot) {
      const [notifications, unreadCount] = changes.overlay(list.all(), unread.count);
      Object.freeze(notifications);
      const hasMore = list.before !== null;
      snapshot = Object.freeze({ status, notifications, unreadCount, hasMore, isLoadingMore, error });
    }
    return snapshot;
  }

  function close(): void {
    flush();
    closed = true;
    generation += 1;
    clearTimeout(timer);
    for (const end of ends) end();
  }

  return {
    getSnapshot,
    subscribe: listeners.add,
    loadMore,
    markAsRead,
    markAllAsRead,
    remove,
    restore: (id) => undoable.get(id)?.(true),
    flush,
    refresh,
    refreshUnreadCount,
    close,
  };
}
