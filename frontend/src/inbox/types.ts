import type { Notification } from "../events.js";
import type { CountsSnapshot } from "./counts.js";
import type { InboxFilter } from "./view.js";

/** What an inbox looks like at one moment. Never changed: each change makes a new one. The counts are of all. */
export interface InboxSnapshot extends CountsSnapshot {
  /** `loading` until the list was first fetched; `failed` if that failed, until it succeeds. */
  readonly status: "loading" | "ready" | "failed";
  /** The notifications loaded so far, newest first. */
  readonly notifications: readonly Notification[];
  /** Whether there are older ones to load. */
  readonly hasMore: boolean;
  /** Whether older ones are being loaded. */
  readonly isLoadingMore: boolean;
  /** What the last fetch failed with. */
  readonly error: unknown;
}

/** A page of a list, as `GET /api/notifications` answers. */
export interface Page {
  readonly notifications: readonly Notification[];
  readonly unread_count: number;
  /** Where the next page begins. */
  readonly next_before: number | null;
  /** A stream that begins there delivers what has happened since. */
  readonly cursor: string;
}

/** What `createInbox` takes beside the stream. */
export interface InboxOptions extends InboxFilter {
  /** How many notifications a page has, 1 to 200. 30. */
  pageSize?: number | undefined;
  /** Whether the snapshot has the counts by category, which one request after an event keeps true. `false`. */
  byCategory?: boolean | undefined;
  /** The newest page, fetched already. The stream, opened at its `cursor`, delivers the rest, and nothing is fetched. */
  initial?: Page | undefined;
}

/**
 * A user's notifications, kept current by the stream. `createInbox` makes it.
 *
 * A change is shown at once, in all inboxes over the stream. If the service refuses it, it is undone, and the promise
 * rejects.
 */
export interface Inbox {
  /** The same object until something changes, as `useSyncExternalStore` requires. */
  getSnapshot(): InboxSnapshot;
  /** Call `listener` when the snapshot has changed. Returns the function that unsubscribes. */
  subscribe(listener: () => void): () => void;
  /** Load the next page of older notifications. Does nothing at the end of the list, or while a page is being loaded. */
  loadMore(): Promise<void>;
  /** Mark any number read. */
  markAsRead(ids: readonly number[]): Promise<void>;
  /** Mark any number unread again. */
  markAsUnread(ids: readonly number[]): Promise<void>;
  /** Mark all of this inbox read, also those that are not loaded. */
  markAllAsRead(): Promise<void>;
  /** Take any number out of the list and the counts. `unarchive` undoes it. */
  archive(ids: readonly number[]): Promise<void>;
  /** Bring any number back from the archive, to where they were. */
  unarchive(ids: readonly number[]): Promise<void>;
  /** Archive all of this inbox, also those that are not loaded. */
  archiveAll(): Promise<void>;
  /** Mark everything up to now as seen: the user has seen the list. Sends no request if nothing is unseen. */
  markAsSeen(): Promise<void>;
  /**
   * Remove a notification.
   *
   * With `undoFor` the request is sent so many milliseconds later, or at `flush()`; until then `restore(id)` undoes it.
   */
  remove(id: number, options?: { undoFor?: number }): Promise<void>;
  /** Undo a removal that was not sent yet. */
  restore(id: number): void;
  /** Send all removals that could still be undone: the page is left. */
  flush(): void;
  /** Fetch the list again, from the newest. */
  refresh(): Promise<void>;
  /** Fetch the unread count. Only useful while the stream is down: otherwise the stream delivers it. */
  refreshUnreadCount(): Promise<void>;
  /** Stop following the stream, and send the removals that could still be undone. The stream itself stays open. */
  close(): void;
}
