import type { Notification } from "../events.js";
import type { NotificationList } from "./list.js";

/** Something that was asked of the service, and is shown before the stream tells of it. */
export interface Change {
  readonly kind: "read" | "remove";
  /** Whether it is about this notification. */
  covers(id: number): boolean;
  /** Whether it is about all there were. */
  readonly all: boolean;
  /** Whether the service has answered. */
  done: boolean;
}

/** What is under way. */
export interface Changes {
  begin(kind: Change["kind"], ids: readonly number[] | "all"): Change;
  /** Take it back: the service has refused. */
  drop(change: Change): void;
  /** Forget what the service has done and the list shows by itself. */
  settle(): void;
  /** The list and the count with all of it done. */
  overlay(notifications: Notification[], unread: number | null): [Notification[], number | null];
}

/** Nothing is under way. */
export function createChanges(list: NotificationList): Changes {
  const changes = new Set<Change>();

  function begin(kind: Change["kind"], ids: readonly number[] | "all"): Change {
    const newest = Math.max(0, ...list.all().map((one) => one.id));
    const covers = ids === "all" ? (id: number) => id <= newest : (id: number) => ids.includes(id);
    const change = { kind, covers, all: ids === "all", done: false };
    changes.add(change);
    return change;
  }

  function settle(): void {
    for (const change of changes) {
      const isShown = (one: Notification) => change.covers(one.id) && (change.kind === "remove" || !one.is_read);
      if (change.done && !list.all().some(isShown)) changes.delete(change);
    }
  }

  function covered(kind: Change["kind"], id: number): boolean {
    return [...changes].some((change) => change.kind === kind && change.covers(id));
  }

  function overlay(notifications: Notification[], unread: number | null): [Notification[], number | null] {
    if (changes.size === 0) return [notifications, unread];
    const shown = notifications
      .filter((one) => !covered("remove", one.id))
      .map((one) => (one.is_read || !covered("read", one.id) ? one : { ...one, is_read: true }));
    if (unread === null) return [shown, null];
    const left = countUnread(shown);
    // What came after "all" is new, and so it is loaded. Otherwise there may be unread ones that are not.
    if ([...changes].some((change) => change.all)) return [shown, left];
    return [shown, Math.max(0, unread - (countUnread(notifications) - left))];
  }

  return { begin, drop: (change) => changes.delete(change), settle, overlay };
}

function countUnread(notifications: Notification[]): number {
  return notifications.filter((one) => !one.is_read).length;
}
