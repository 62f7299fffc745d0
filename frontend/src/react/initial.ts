import type { Notification } from "../events.js";
import type { InboxSnapshot, Page } from "../inbox/index.js";

/** The newest page, as a server fetched it: `GET /api/notifications`. */
export interface InitialInbox {
  readonly notifications: readonly Notification[];
  readonly unreadCount: number;
  /** The answer's `cursor`: the stream goes on behind it. */
  readonly cursor: string;
  /** The answer's `next_before`; by default there are older ones if the page is full. */
  readonly nextBefore?: number | null | undefined;
}

/** It as the service answered it. */
export function pageOf({ notifications, unreadCount, cursor, nextBefore }: InitialInbox, pageSize = 30): Page {
  const last = notifications.length < pageSize ? undefined : notifications.at(-1)?.position;
  return {
    notifications,
    unread_count: unreadCount,
    next_before: nextBefore === undefined ? (last ?? null) : nextBefore,
    cursor,
  };
}

/** What an inbox over it looks like before its stream is open: on a server, and in a browser's first render. */
export function firstSnapshot({ notifications, unread_count, next_before }: Page): InboxSnapshot {
  return Object.freeze({
    status: "ready",
    notifications: Object.freeze([...notifications]),
    unreadCount: unread_count,
    unseenCount: null,
    byCategory: null,
    hasMore: next_before !== null,
    isLoadingMore: false,
    error: null,
  });
}
