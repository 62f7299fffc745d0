import type { Page } from "./items.js";
import type { InboxSnapshot, InitialInbox } from "./types.js";

/** The first page, as REST would answer it. */
export function firstPage({ notifications, unreadCount, nextBefore }: InitialInbox, pageSize: number): Page {
  const last = notifications.length < pageSize ? undefined : notifications.at(-1)?.position;
  return {
    notifications: [...notifications],
    unread_count: unreadCount,
    next_before: nextBefore === undefined ? (last ?? null) : nextBefore,
  };
}

/** What an inbox over it looks like before its stream is open: on a server, and in a browser's first render. */
export function firstSnapshot(initial: InitialInbox, pageSize = 30): InboxSnapshot {
  const { notifications, unread_count, next_before } = firstPage(initial, pageSize);
  return Object.freeze({
    status: "ready",
    notifications: Object.freeze(notifications),
    unreadCount: unread_count,
    unseenCount: null,
    byCategory: null,
    hasMore: next_before !== null,
    isLoadingMore: false,
    error: null,
  });
}
