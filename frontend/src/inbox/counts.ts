import type { Counts, Notification } from "../events.js";
import { after, type Change } from "./changes.js";

/** What a badge and tabs show. `null` while unknown. */
export interface CountsSnapshot {
  /** How many are unread. */
  readonly unreadCount: number | null;
  /** How many are unread and rose to the top after the list was last seen. */
  readonly unseenCount: number | null;
  /** The unread ones of each category that has any; `null` without the option. */
  readonly byCategory: ByCategory;
}

/** Counts by category. */
export type ByCategory = Readonly<Record<string, number>> | null;

/** The counts after changes that are not confirmed. `items` are the loaded notifications before them. */
export function recount(
  { unread_count, unseen_count }: Counts,
  byCategory: ByCategory,
  items: Iterable<Notification>,
  changes: ReadonlySet<Change>,
): CountsSnapshot {
  // After a change of all, only what has arrived since then counts, and that is loaded. Otherwise the service has
  // counted what is not loaded, too.
  const known = [...changes].some(({ isAll }) => isAll) ? 0 : 1;
  let unread = known * unread_count;
  let unseen = known * unseen_count;
  // Without a prototype, since a category may be called "constructor".
  const categories: Record<string, number> = Object.assign(Object.create(null), known && byCategory);

  function count(notification: Notification | undefined, times: number): void {
    if (!notification || notification.is_read || notification.archived_at) return;
    const { category, is_seen } = notification;
    unread += times;
    if (!is_seen) unseen += times;
    if (category === null) return;
    categories[category] = (categories[category] ?? 0) + times;
    if (!categories[category]) delete categories[category];
  }

  for (const notification of changes.size > 0 ? items : []) {
    count(notification, -known);
    count(after(changes, notification), 1);
  }
  return { unreadCount: toCount(unread), unseenCount: toCount(unseen), byCategory: byCategory && categories };
}

function toCount(sum: number): number | null {
  return Number.isNaN(sum) ? null : Math.max(0, sum);
}
