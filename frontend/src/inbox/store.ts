import type { ApiError } from "../api-error.js";
import type { Counts, Notification, StreamEvent } from "../events.js";
import type { StreamError } from "../state.js";
import type { NotificationStream } from "../types.js";
import { apply, type Change, isConfirmed, type Kind } from "./changes.js";
import { type ByCategory, recount } from "./counts.js";
import { type InboxFilter, joins } from "./view.js";

const PATIENCE = 2_000; // milliseconds to wait for the stream before a list is fetched without it
const RETRY = 10_000; // after a fetch that failed
const PART = 1_000; // ids that the service takes in one request
export const LARGEST = 200; // notifications of a page
const BURST = 300; // milliseconds in which several events cause one request for the counts

/** How far a list can be relied on: it was not fetched, fetched once, or has had every event since then. */
export const NOTHING = 0;
export const FETCHED = 1;
export const FOLLOWED = 2;

/** One inbox over the stream. */
export interface Tab {
  readonly filter: InboxFilter;
  /** Whether it shows the counts by category. */
  readonly byCategory: boolean;
  level: typeof NOTHING | typeof FETCHED | typeof FOLLOWED;
  refresh(): Promise<void>;
  /** Something has changed. */
  publish(): void;
}

/** A filter, as the service takes it. */
export type Query = Omit<InboxFilter, "search"> & { q: string | undefined };

/** What the service answers: a page of a list, or counts. */
export interface Answer extends Partial<Counts> {
  notifications?: readonly Notification[];
  next_before?: number | null;
  by_category?: Record<string, number>;
}

/** What all inboxes over one stream share. */
type Store = ReturnType<typeof createStore>;

const stores = new WeakMap<NotificationStream, Store>();

/** The store of a stream: made for its first inbox, and ended by the last. */
export function storeOf(stream: NotificationStream): Store {
  return stores.get(stream) ?? createStore(stream);
}

function createStore(stream: NotificationStream) {
  const tabs = new Set<Tab>();
  const changes = new Set<Change>(); // which the stream has not confirmed
  const undoable = new Map<number, (isSent: boolean) => void>(); // what decides on a removal that waits, by its id
  const recordings = new Set<StreamEvent[]>(); // of what comes while something is fetched
  const stopListening = stream.listen(follow);
  const unsubscribe = stream.subscribe(begin);
  let items = new Map<number, Notification>(); // loaded, as the service sent them; another map once events were missed
  let { counts } = stream;
  let byCategory: ByCategory = null;
  let isBegun = stream.cursor !== null; // a page fetched before may miss events
  let timer = setTimeout(begin, PATIENCE, true);
  let counting: ReturnType<typeof setTimeout> | undefined;

  /** Fetch what is not current, as soon as the stream has a place in the log, or cannot get one for now. */
  function begin(isLate: unknown = false): void {
    const { status, error } = stream.getState() as { status: string; error?: StreamError };
    const hasCursor = stream.cursor !== null;
    if (hasCursor && !isBegun) startOver();
    isBegun ||= hasCursor;
    if (status === "idle" || error?.kind === "offline") return;
    if (hasCursor) reach(FOLLOWED);
    else if (isLate || error || status === "closed") reach(FETCHED);
  }

  function reach(level: number): void {
    for (const tab of tabs) if (tab.level < level) tab.refresh().catch(retry);
  }

  /** Events were missed: what is loaded may be gone. */
  function startOver(): void {
    items = new Map();
    for (const tab of tabs) tab.level = FETCHED;
  }

  function retry(): void {
    clearTimeout(timer);
    timer = setTimeout(begin, RETRY);
  }

  function follow(event: StreamEvent): void {
    if (event.id === null) return; // nothing has happened
    for (const recording of recordings) recording.push(event);
    if (event.event === "reset") startOver();
    const { ids = [] } = event.data as { ids?: readonly number[] | "all" };
    const isLoaded = ids !== "all" && ids.every((id) => items.has(id));
    if (!isLoaded) miss(event.event);
    apply(event, items);
    for (const change of changes) if (isConfirmed(change, event)) changes.delete(change);
    begin();
    keepCounts();
    publish();
  }

  function keepCounts(): void {
    const isCounted = stream.counts.unread_count >= 0; // long polls begin without counts
    if (isCounted) counts = stream.counts;
    if (!isCounted || [...tabs].some((tab) => tab.byCategory)) fetchCounts(isCounted ? BURST : 0);
  }

  /** Some of what such an event concerns is not loaded. */
  function miss(event: string): void {
    for (const tab of tabs) if (joins(tab.filter, event)) tab.level = FETCHED;
  }

  /** Fetch something, and bring it up to date with what happens meanwhile. `null` if events were missed. */
  async function fetch(path: string, query?: object): Promise<Answer | null> {
    const since: StreamEvent[] = [];
    const mine = items;
    recordings.add(since);
    try {
      const answer = (await ask("GET", path, query)) as Answer;
      if (mine !== items) return null;
      take(answer, since);
      return answer;
    } finally {
      recordings.delete(since);
    }
  }

  function take(answer: Answer, since: readonly StreamEvent[] = []): void {
    const { unread_count, unseen_count, notifications, by_category } = { ...stream.counts, ...answer };
    if (since.length === 0) counts = { unread_count, unseen_count };
    byCategory = by_category ?? byCategory;
    if (!notifications) return;
    for (const notification of notifications) items.set(notification.id, notification);
    for (const event of since) apply(event, items);
    for (const change of changes) if (change.isMade) changes.delete(change);
  }

  function fetchCounts(delay: number): void {
    clearTimeout(counting);
    counting = setTimeout(() => fetch("/counts").then(publish, () => fetchCounts(RETRY)), delay);
  }

  /** Show a change at once, and undo it if the service does not make it. */
  async function change(kind: Kind, ids: readonly number[] | "all", act: () => Promise<unknown>): Promise<void> {
    const isAll = ids === "all";
    const mine = items;
    const change: Change = { kind, ids: new Set(isAll ? items.keys() : ids), isAll, at: null };
    changes.add(change);
    publish();
    try {
      const answer = (await act()) as { updated?: number } | undefined;
      // No event will confirm what has changed nothing, or what was missed.
      change.isMade = answer?.updated !== 0 && mine === items;
    } finally {
      if (!change.isMade) changes.delete(change);
      publish();
    }
  }

  async function changeSome(kind: Kind, path: string, ids: readonly number[]): Promise<void> {
    if (ids.length === 0) return;
    const some = ids.slice(0, PART);
    const first = change(kind, some, () => ask("POST", path, { ids: some }));
    await Promise.all([first, changeSome(kind, path, ids.slice(PART))]);
  }

  /** The service has no "all" for a filtered list, so its pages supply the ids. */
  async function changeAll(kind: Kind, path: string, { unread, ...query }: Query): Promise<void> {
    const isWhole = !Object.values(query).some(Boolean) && (kind === "read" || !unread);
    if (isWhole) return change(kind, "all", () => ask("POST", `${path}-all`));
    const ids: number[] = [];
    let before: number | null = null;
    do {
      const page = (await ask("GET", "", {
        ...query,
        unread: unread || kind === "read",
        limit: LARGEST,
        before,
      })) as Required<Answer>;
      ids.push(...page.notifications.map(({ id }) => id));
      before = page.next_before;
    } while (before);
    return changeSome(kind, path, ids);
  }

  function count(isByCategory: boolean) {
    return recount(counts, isByCategory ? byCategory : null, items.values(), changes);
  }

  function ask(method: string, path: string, body?: unknown): Promise<unknown> {
    return stream.request(method, `/api/notifications${path}`, body);
  }

  function publish(): void {
    for (const tab of tabs) tab.publish();
  }

  const store = {
    get items() {
      return items;
    },
    count,
    changes,
    fetch,
    take,
    publish,
    join(tab: Tab): void {
      tabs.add(tab);
      begin();
      if (tab.byCategory) fetchCounts(0);
    },
    leave(tab: Tab): void {
      tabs.delete(tab);
      if (tabs.size > 0) return;
      stores.delete(stream);
      clearTimeout(timer);
      clearTimeout(counting);
      stopListening();
      unsubscribe();
    },
    changeAll,
    /** What is the same for all inboxes. */
    actions: {
      markAsRead: (ids: readonly number[]) => changeSome("read", "/read", ids),
      markAsUnread: (ids: readonly number[]) => changeSome("unread", "/unread", ids),
      archive: (ids: readonly number[]) => changeSome("archived", "/archive", ids),
      unarchive: (ids: readonly number[]) => changeSome("unarchived", "/unarchive", ids),
      markAsSeen: async () => {
        if (!count(false).unseenCount) return;
        counts = { ...counts, unseen_count: 0 };
        publish();
        await ask("POST", "/seen").catch((problem: unknown) => {
          keepCounts();
          publish();
          throw problem;
        });
      },
      remove: (id: number, { undoFor = 0 } = {}) =>
        change("deleted", [id], async () => {
          const isSent =
            !undoFor ||
            (await new Promise((resolve) => {
              undoable.set(id, resolve);
              setTimeout(resolve, undoFor, true);
            }));
          if (!isSent) return { updated: 0 };
          return ask("DELETE", `/${id}`).catch((problem: ApiError) => {
            if (problem.status !== 404) throw problem;
            items.delete(id); // another device has removed it, and its event may have arrived before
            return { updated: 0 };
          });
        }),
      restore: (id: number) => undoable.get(id)?.(false),
      flush: () => {
        for (const settle of undoable.values()) settle(true);
      },
      refreshUnreadCount: () => fetch("/counts").then(publish),
    },
  };
  stores.set(stream, store);
  return store;
}
