import type { EventData, Notification, StreamEvent } from "../events.js";

/** A page of the list, as REST answers. */
export interface Page {
  notifications: Notification[];
  unread_count: number;
  next_before: number | null;
}

/** The notifications that are loaded, as the service has told them. */
export interface NotificationList {
  /** Newest first. */
  all(): Notification[];
  /** Where the next page begins; `null` at the end of the list. */
  readonly before: number | null;
  /** Begin anew with the newest page. `since` are the events that came while it was fetched. */
  replace(page: Page, since: readonly StreamEvent[]): void;
  /** Add an older page. */
  extend(page: Page, since: readonly StreamEvent[]): void;
  apply(event: StreamEvent): void;
}

/**
 * An empty list.
 *
 * Each event says how something is after it, so that a page which was fetched somewhere in the middle of some events
 * is brought to their end by applying them all, in order, whichever of them it had in it already.
 */
export function createNotificationList(): NotificationList {
  const items = new Map<number, Notification>();
  let before: number | null = null;

  function replace(page: Page, since: readonly StreamEvent[]): void {
    items.clear();
    extend(page, since);
  }

  function extend(page: Page, since: readonly StreamEvent[]): void {
    for (const one of page.notifications) items.set(one.id, one);
    before = page.next_before;
    for (const event of since) apply(event);
  }

  function apply({ event, data }: StreamEvent): void {
    if (event === "notification") items.set(data.id, data);
    else if (event === "updated") update(data);
    else if (event === "read") mark(named(data.ids), true);
    else if (event === "unread") mark(data.ids, false);
    else if (event === "archived" || event === "deleted") remove(named(data.ids));
  }

  function named(ids: number[] | "all"): number[] {
    return ids === "all" ? [...items.keys()] : ids;
  }

  function update({ unread_count: _unread, unseen_count: _unseen, ...one }: EventData["updated"]): void {
    if ((items.get(one.id)?.revision ?? 0) > one.revision) return;
    if (one.archived_at === null) items.set(one.id, one);
    else items.delete(one.id);
  }

  function mark(ids: number[], isRead: boolean): void {
    for (const id of ids) {
      const one = items.get(id);
      if (one && one.is_read !== isRead) items.set(id, { ...one, is_read: isRead });
    }
  }

  function remove(ids: number[]): void {
    for (const id of ids) items.delete(id);
  }

  return {
    all: () => [...items.values()].sort((a, b) => b.position - a.position),
    get before() {
      return before;
    },
    replace,
    extend,
    apply,
  };
}
