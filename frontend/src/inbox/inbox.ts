import { statusOf } from "../api-error.js";
import type { Notification } from "../events.js";
import { createListeners } from "../listeners.js";
import type { NotificationStream } from "../types.js";
import { firstPage } from "./initial.js";
import { storeOf, type Tab } from "./store.js";
import type { Inbox, InboxOptions, InboxSnapshot } from "./types.js";
import { isWhole, type Kind, matches } from "./view.js";

const PART = 1_000; // ids that the service takes in one request
const LARGEST = 200; // notifications of a page

/**
 * Keep a user's notifications current, by REST and by the events of `stream`. Several inboxes over one stream, each with
 * its own filter, share the loaded notifications, the counts and the unconfirmed changes.
 *
 * The list is fetched once the stream has a cursor, and later events are applied to it, so that none is lost between
 * the two.
 *
 * @throws TypeError naming an option that is wrong.
 */
export function createInbox(stream: NotificationStream, options: InboxOptions = {}): Inbox {
  const { pageSize = 30, byCategory = false, initial, ...filter } = options;
  if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize > LARGEST) {
    throw new TypeError(`shirase: pageSize must be an integer from 1 to ${LARGEST}`);
  }
  const store = storeOf(stream);
  const listeners = createListeners<void>();
  const undoable = new Map<number, (isUndone: boolean) => void>(); // what settles a removal that waits, by its id
  let status: InboxSnapshot["status"] = "loading";
  let error: unknown = null;
  let before: number | null = null; // where the next page begins
  let age = 0; // of the list
  let isLoadingMore = false;
  let generation = 0; // numbers the fetches of the newest page: an answer to an earlier one is late
  let snapshot: InboxSnapshot | null = null;
  const tab: Tab = { filter, byCategory, covered: false, tried: false, refresh, publish };
  if (initial) {
    const page = firstPage(initial, pageSize);
    store.seed(page);
    before = page.next_before;
    status = "ready";
    tab.tried = true;
    tab.covered = stream.cursor === initial.cursor; // what happened in between would be missed otherwise
  }
  store.join(tab);

  async function refresh(): Promise<void> {
    generation += 1;
    tab.tried = true;
    tab.covered = stream.cursor !== null;
    // As many as are shown, so that the scroll position stays.
    const size = status === "ready" ? visible().length : 0;
    await load(null, Math.min(LARGEST, Math.max(pageSize, size))).finally(store.publish);
  }

  async function loadMore(): Promise<void> {
    if (isLoadingMore || before === null) return;
    isLoadingMore = true;
    publish();
    await load(before, pageSize).finally(() => {
      isLoadingMore = false;
      publish();
    });
  }

  async function load(from: number | null, limit: number): Promise<void> {
    const mine = generation;
    try {
      const page = await store.fetchPage(filter, limit, from, () => mine === generation);
      if (!page) return;
      before = page.next_before;
      age = store.items.age;
      status = "ready";
      error = null;
    } catch (problem) {
      error = problem;
      if (from === null && mine === generation) {
        tab.covered = false;
        if (status === "loading") status = "failed";
      }
      throw problem;
    }
  }

  async function refreshUnreadCount(): Promise<void> {
    await store.fetchPage({}, 1, null, () => true);
    store.publish();
  }

  async function changeSome(kind: Kind, path: string, ids: readonly number[]): Promise<void> {
    const requests: Promise<void>[] = [];
    for (let start = 0; start < ids.length; start += PART) {
      const some = ids.slice(start, start + PART);
      requests.push(store.change(kind, some, () => store.ask("POST", path, { ids: some })));
    }
    await Promise.all(requests);
  }

  /** The service has no "all" for a filtered list, so its pages supply the ids. */
  async function changeAll(kind: Kind, path: string): Promise<void> {
    if (isWhole({ ...filter, unread: false })) return store.change(kind, "all", () => store.ask("POST", `${path}-all`));
    const requests: Promise<void>[] = [];
    for (let from: number | null = null, isLast = false; !isLast; ) {
      const page = await store.fetchPage({ ...filter, unread: kind === "read" }, LARGEST, from, () => true);
      requests.push(changeSome(kind, path, page?.notifications.map(({ id }) => id) ?? []));
      if (page) from = page.next_before;
      isLast = page?.next_before === null;
    }
    await Promise.all(requests);
  }

  async function markAsSeen(): Promise<void> {
    if (getSnapshot().unseenCount) await store.change("seen", "all", () => store.ask("POST", "/seen"));
  }

  function remove(id: number, { undoFor = 0 } = {}): Promise<void> {
    return store.change("deleted", [id], async () => {
      if (undoFor && (await isUndone(id, undoFor))) return { updated: 0 };
      return store.ask("DELETE", `/${id}`).catch((problem: unknown) => {
        if (statusOf(problem) !== 404) throw problem;
        // Another device has removed it, and its event may have arrived before.
        store.items.forget(id);
        return { updated: 0 };
      });
    });
  }

  function isUndone(id: number, delay: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (answer: boolean) => {
        clearTimeout(timer);
        undoable.delete(id);
        resolve(answer);
      };
      const timer = setTimeout(settle, delay, false);
      undoable.set(id, settle);
    });
  }

  function flush(): void {
    for (const settle of [...undoable.values()]) settle(false);
  }

  function publish(): void {
    snapshot = null;
    listeners.emit();
  }

  function visible(): Notification[] {
    return [...store.items.all.values()]
      .filter(({ id, position }) => position >= (before ?? 0) && store.items.ageOf(id) >= age)
      .flatMap((notification) => store.overlay(notification) ?? [])
      .filter((notification) => matches(filter, notification))
      .sort((a, b) => b.position - a.position);
  }

  function getSnapshot(): InboxSnapshot {
    snapshot ??= Object.freeze({
      status,
      notifications: Object.freeze(visible()),
      ...store.count(),
      hasMore: before !== null,
      isLoadingMore,
      error,
    });
    return snapshot;
  }

  function close(): void {
    flush();
    generation += 1;
    store.leave(tab);
  }

  return {
    getSnapshot,
    subscribe: listeners.add,
    loadMore,
    markAsRead: (ids) => changeSome("read", "/read", ids),
    markAsUnread: (ids) => changeSome("unread", "/unread", ids),
    markAllAsRead: () => changeAll("read", "/read"),
    archive: (ids) => changeSome("archived", "/archive", ids),
    unarchive: (ids) => changeSome("unarchived", "/unarchive", ids),
    archiveAll: () => changeAll("archived", "/archive"),
    markAsSeen,
    remove,
    restore: (id) => undoable.get(id)?.(true),
    flush,
    refresh,
    refreshUnreadCount,
    close,
  };
}
