import { createCounter } from "../counter.js";
import type { StreamEvent } from "../events.js";
import type { NotificationStream } from "../types.js";
import { createChanges } from "./changes.js";
import type { ByCategory } from "./counts.js";
import { createItems, type Page } from "./items.js";
import { type InboxFilter, isWhole, joins, type Kind, toQuery } from "./view.js";

const PATIENCE = 2_000; // milliseconds to wait for the stream before a list is fetched without it
const RETRY = 10_000; // after a fetch that failed
const BURST = 300; // milliseconds in which several events cause one request for the counts

/** One inbox over the stream. */
export interface Tab {
  readonly filter: InboxFilter;
  /** Whether it shows the counts by category. */
  readonly byCategory: boolean;
  /** Whether every event since its list was last fetched has arrived. */
  covered: boolean;
  /** Whether its list was fetched before. */
  tried: boolean;
  refresh(): Promise<void>;
  /** Something has changed. */
  publish(): void;
}

interface CountsAnswer {
  by_category: Record<string, number>;
}

/** What all inboxes over one stream share. */
export type Store = ReturnType<typeof createStore>;

const stores = new WeakMap<NotificationStream, Store>();

/** The store of a stream: made for its first inbox, and ended by the last. */
export function storeOf(stream: NotificationStream): Store {
  const store = stores.get(stream) ?? createStore(stream);
  stores.set(stream, store);
  return store;
}

function createStore(stream: NotificationStream) {
  const items = createItems();
  const tabs = new Set<Tab>();
  const recordings = new Set<StreamEvent[]>(); // of what comes while something is fetched
  const counter = createCounter();
  const changes = createChanges(items.all, counter);
  const ends = [stream.listen(follow), stream.subscribe(begin)];
  let timer = setTimeout(begin, PATIENCE, true);
  let countedTo = 0; // the newest notification that the unread count of a page has in it
  let isBegun = false; // whether the stream has a cursor: a page fetched before may miss events
  let byCategory: ByCategory = null;
  let counting: ReturnType<typeof setTimeout> | undefined;

  /** Fetch what is not covered, as soon as the stream has a place in the log, or cannot get one for now. */
  function begin(impatient: unknown = false): void {
    if (!isBegun && stream.cursor !== null) items.age += 1;
    isBegun ||= stream.cursor !== null;
    const state = stream.getState();
    const { status } = state;
    if (status === "reconnecting" && state.error.kind === "offline") return;
    const alone = impatient ? status !== "idle" : status === "reconnecting" || status === "closed";
    const isDue = (tab: Tab) => (stream.cursor !== null ? !tab.covered : alone && !tab.tried);
    for (const tab of [...tabs].filter(isDue)) tab.refresh().catch(retry);
  }

  function retry(): void {
    clearTimeout(timer);
    if (tabs.size > 0) timer = setTimeout(begin, RETRY);
  }

  function follow(event: StreamEvent): void {
    const { event: name, data } = event;
    if (name === "heartbeat" || name === "closing") return;
    for (const recording of recordings) recording.push(event);
    recount(event);
    if (name === "reset") items.age += 1;
    const isMissed = name === "reset" || ("ids" in data && !isLoaded(data.ids));
    for (const tab of tabs) tab.covered &&= !(isMissed && joins(tab.filter, name));
    items.apply(event);
    changes.settle(event);
    begin();
    fetchCounts();
    publish();
  }

  function isLoaded(ids: number[] | "all"): boolean {
    return ids !== "all" && ids.every((id) => items.ageOf(id) === items.age);
  }

  function recount(event: StreamEvent): void {
    if ("unread_count" in event.data) countedTo = 0; // the log's own counts are each the count at their place in it
    if (event.event === "notification" && event.data.id <= countedTo) counter.unseen += 1;
    else counter.apply(event);
  }

  /** Take the unread count of a page without a filter. */
  function assume({ unread_count, notifications }: Page, since: readonly StreamEvent[]): void {
    const { unseen } = counter; // which no page has, and which has counted those events already
    counter.unread = unread_count;
    countedTo = Math.max(0, ...notifications.map(({ id }) => id));
    for (const event of since) recount(event);
    counter.unseen = unseen;
  }

  /** Take the newest page, which a server has fetched. */
  function seed(page: Page): void {
    isBegun = stream.cursor !== null;
    items.take(page, []);
    assume(page, []);
  }

  /** Fetch a page of a list, and take it with what has happened meanwhile, if it is still current. */
  async function fetchPage(filter: InboxFilter, limit: number, before: number | null, isCurrent: () => boolean) {
    const since: StreamEvent[] = [];
    const mine = items.age;
    recordings.add(since);
    try {
      const page = (await ask("GET", `?${toQuery({ limit, before, ...filter })}`)) as Page;
      if (mine !== items.age || !isCurrent()) return null;
      items.take(page, since);
      if (before === null && isWhole(filter)) assume(page, since);
      changes.renew();
      return page;
    } finally {
      recordings.delete(since);
    }
  }

  /** Fetch the counts by category after a burst, if an inbox shows them. */
  function fetchCounts(delay = BURST): void {
    if (![...tabs].some((tab) => tab.byCategory)) return;
    clearTimeout(counting);
    counting = setTimeout(async () => {
      try {
        byCategory = ((await ask("GET", "/counts")) as CountsAnswer).by_category;
        publish();
      } catch {
        fetchCounts(RETRY);
      }
    }, delay);
  }

  /** Show a change at once, and undo it if the service refuses it. */
  async function change(kind: Kind, ids: readonly number[] | "all", act: () => Promise<unknown>): Promise<void> {
    const change = changes.begin(kind, ids);
    publish();
    try {
      const answer = (await act()) as { updated?: number } | undefined;
      change.silent ||= answer?.updated === 0;
    } catch (problem) {
      changes.drop(change);
      throw problem;
    } finally {
      change.done = true;
      changes.settle();
      publish();
    }
  }

  function ask(method: string, path: string, body?: unknown): Promise<unknown> {
    return stream.request(method, `/api/notifications${path}`, body);
  }

  function publish(): void {
    for (const tab of tabs) tab.publish();
  }

  function join(tab: Tab): void {
    tabs.add(tab);
    begin();
    fetchCounts(0);
  }

  function leave(tab: Tab): void {
    tabs.delete(tab);
    if (tabs.size > 0) return;
    stores.delete(stream);
    clearTimeout(timer);
    clearTimeout(counting);
    for (const end of ends) end();
  }

  return {
    items,
    overlay: changes.overlay,
    count: () => changes.count(byCategory),
    ask,
    change,
    fetchPage,
    seed,
    publish,
    join,
    leave,
  };
}
