import type { Counter } from "../counter.js";
import type { Notification } from "../events.js";
import type { Changes } from "./changes.js";
import type { Kind } from "./view.js";

/** What a badge and tabs show. `null` while unknown. */
export interface CountsSnapshot {
  /** How many are unread. */
  readonly unreadCount: number | null;
  /** How many are unread and rose to the top after the list was last seen. */
  readonly unseenCount: number | null;
  /** The unread ones of each category that has any; `null` unless an inbox requests it. */
  readonly byCategory: ByCategory;
}

/** Counts by category. */
export type ByCategory = Readonly<Record<string, number>> | null;

/** The counts with all unconfirmed changes applied, some of which may concern `all` notifications. */
export function recount(
  { unread, unseen }: Counter,
  byCategory: ByCategory,
  items: Iterable<Notification>,
  overlay: Changes["overlay"],
  all: ReadonlySet<Kind | false>,
): CountsSnapshot {
  // Notifications that arrived after an "all" are loaded. Without one there may be others that are not loaded.
  const isUnreadLoaded = all.has("read") || all.has("archived");
  const isUnseenLoaded = isUnreadLoaded || all.has("seen");
  let [unreadSum, unseenSum] = [isUnreadLoaded ? 0 : unread, isUnseenLoaded ? 0 : unseen];
  let categories = isUnreadLoaded ? byCategory && {} : byCategory;
  for (const notification of items) {
    const shown = overlay(notification);
    const more = countOf(shown) - (isUnreadLoaded ? 0 : countOf(notification));
    unreadSum += more;
    unseenSum += unseenOf(shown) - (isUnseenLoaded ? 0 : unseenOf(notification));
    categories = addTo(categories, notification, more);
  }
  return { unreadCount: toCount(unreadSum), unseenCount: toCount(unseenSum), byCategory: categories };
}

/** What a notification adds to the unread count. */
function countOf(notification: Notification | undefined): number {
  return notification?.is_read === false && notification.archived_at === null ? 1 : 0;
}

function unseenOf(notification: Notification | undefined): number {
  return notification?.is_seen ? 0 : countOf(notification);
}

function toCount(sum: number): number | null {
  return Number.isNaN(sum) ? null : Math.max(0, sum);
}

function addTo(counts: ByCategory, { category }: Notification, more: number): ByCategory {
  if (!counts || category === null || more === 0) return counts;
  const { [category]: before = 0, ...others } = counts;
  const next = (Object.hasOwn(counts, category) ? before : 0) + more; // one may be called "constructor"
  return next > 0 ? { ...others, [category]: next } : others;
}
