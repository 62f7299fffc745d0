import type { Notification } from "../events.js";
import { createListeners } from "../listeners.js";
import { fail } from "../options.js";
import type { NotificationStream } from "../types.js";
import { after } from "./changes.js";
import { FETCHED, FOLLOWED, LARGEST, NOTHING, storeOf, type Tab } from "./store.js";
import type { Inbox, InboxOptions, InboxSnapshot } from "./types.js";
import { matches } from "./view.js";

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
  if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize > LARGEST)
    fail(`pageSize must be an integer from 1 to ${LARGEST}`);
  const { search, ...others } = filter;
  const query = { ...others, q: search?.trim() };
  const store = storeOf(stream);
  const listeners = createListeners<void>();
  // What happened behind another cursor would be missed.
  const level = stream.cursor === initial?.cursor ? FOLLOWED : NOTHING;
  const tab: Tab = { filter, byCategory, level, refresh, publish };
  let isLoaded = Boolean(initial);
  let error: unknown = null;
  let items = store.items; // as they were when the list was last fetched, if events were missed since
  let before = initial?.next_before ?? null; // where the next page begins
  let isLoadingMore = false;
  let snapshot: InboxSnapshot | null = null;
  if (initial) store.take(initial);
  store.join(tab);

  async function refresh(): Promise<void> {
    tab.level = stream.cursor === null ? FETCHED : FOLLOWED;
    try {
      // As many as are shown, so that the scroll position stays.
      await load(null, Math.min(LARGEST, Math.max(pageSize, visible().length)));
    } catch (problem) {
      tab.level = FETCHED;
      throw problem;
    }
  }

  async function loadMore(): Promise<void> {
    if (isLoadingMore || before === null) return;
    isLoadingMore = true;
    publish();
    await load(before, pageSize);
  }

  async function load(from: number | null, limit: number): Promise<void> {
    try {
      const page = await store.fetch("", { ...query, limit, before: from });
      if (!page || (from !== null && from !== before)) return; // it does not continue the list any more
      items = store.items;
      before = page.next_before ?? null;
      isLoaded = true;
      error = null;
    } catch (problem) {
      error = problem;
      throw problem;
    } finally {
      isLoadingMore = false;
      store.publish();
    }
  }

  function publish(): void {
    snapshot = null;
    listeners.emit();
  }

  function visible(): Notification[] {
    return [...items.values()]
      .filter(({ position }) => position >= (before ?? 0))
      .flatMap((notification) => after(store.changes, notification) ?? [])
      .filter((notification) => matches(filter, notification))
      .sort((a, b) => b.position - a.position);
  }

  function getSnapshot(): InboxSnapshot {
    snapshot ??= Object.freeze({
      status: isLoaded ? "ready" : error ? "failed" : "loading",
      notifications: Object.freeze(visible()),
      ...store.count(byCategory),
      hasMore: before !== null,
      isLoadingMore,
      error,
    });
    return snapshot;
  }

  function close(): void {
    store.actions.flush();
    store.leave(tab);
  }

  return {
    ...store.actions,
    getSnapshot,
    subscribe: listeners.add,
    loadMore,
    markAllAsRead: () => store.changeAll("read", "/read", query),
    archiveAll: () => store.changeAll("archived", "/archive", query),
    refresh,
    close,
  };
}
