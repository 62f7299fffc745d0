import type { Notification } from "../events.js";

/** What an inbox looks like at one moment. Never changed: each change makes a new one. */
export interface InboxSnapshot {
  /** `loading` until the list was first fetched; `failed` if that failed, until it succeeds. */
  readonly status: "loading" | "ready" | "failed";
  /** The notifications loaded so far, newest first. */
  readonly notifications: readonly Notification[];
  /** How many are unread, of all and not only of the loaded; `null` until it is known. */
  readonly unreadCount: number | null;
  /** Whether there are older ones to load. */
  readonly hasMore: boolean;
  /** Whether older ones are being loaded. */
  readonly isLoadingMore: boolean;
  /** What the last fetch failed with. */
  readonly error: unknown;
}

/** The newest page, as a server fetched it: `GET /api/notifications`. */
export interface InitialInbox {
  readonly notifications: readonly Notification[];
  readonly unreadCount: number;
  /** The answer's `cursor`: the stream goes on behind it. */
  readonly cursor: string;
  /** The answer's `next_before`; by default there are older ones if the page is full. */
  readonly nextBefore?: number | null;
}

/** What `createInbox` takes beside the stream. */
export interface InboxOptions {
  /** How many notifications a page has, 1 to 200. 30. */
  pageSize?: number;
  /** What is there already. Nothing is fetched then: the stream, begun behind its `cursor`, tells the rest. */
  initial?: InitialInbox;
}

/** A user's notifications, kept true by the stream. `createInbox` makes it. */
export interface Inbox {
  /** The same object until something changes, as `useSyncExternalStore` wants it. */
  getSnapshot(): InboxSnapshot;
  /** Hear that the snapshot has changed. Returns the function that ends it. */
  subscribe(listener: () => void): () => void;
  /** Load the next page of older ones. Does nothing at the end of the list, or while one is being loaded. */
  loadMore(): Promise<void>;
  /** Mark any number read. Shown at once, and taken back if the service refuses; then it rejects. */
  markAsRead(ids: readonly number[]): Promise<void>;
  /** Mark all read, also those that are not loaded. Shown at once, and taken back if refused; then it rejects. */
  markAllAsRead(): Promise<void>;
  /**
   * Remove one. Shown at once, and taken back if the service refuses; then it rejects.
   *
   * With `undoFor` the service is asked so many milliseconds later, or at `flush()`; until then `restore(id)` undoes it.
   */
  remove(id: number, options?: { undoFor?: number }): Promise<void>;
  /** Undo the removal of one that the service was not asked for yet. */
  restore(id: number): void;
  /** Carry out at once what could still be undone: the page is left. */
  flush(): void;
  /** Fetch the list again, from the newest. */
  refresh(): Promise<void>;
  /** Ask for the unread count. Only of use while the stream is down: otherwise the stream tells it. */
  refreshUnreadCount(): Promise<void>;
  /** Stop following the stream, and carry out what could still be undone. The stream itself stays open. */
  close(): void;
}
