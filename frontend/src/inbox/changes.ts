import type { Notification, StreamEvent } from "../events.js";
import type { NotificationList } from "./list.js";

/** Something that was asked of the service, and is shown before the stream confirms it. */
export interface Change {
  kind: "read" | "remove";
  /** Which; `all` is all up to `newest`. */
  ids: Set<number> | "all";
  newest: number;
  /** Whether the service has answered. */
  done: boolean;
  /** Whether the stream has told of it. */
  told: boolean;
}

/** What is under way. */
export interface Changes {
  begin(kind: Change["kind"], ids: readonly number[] | "all", newest: number): Change;
  /** Take it back. */
  drop(change: Change): void;
  /** The service has done it; `changed` tells whether there was anything to do, of which the stream will tell. */
  finish(change: Change, changed: boolean): void;
  apply(event: StreamEvent): void;
  /** Those that the service has answered: whatever is fetched from now on has them in it. */
  done(): Change[];
  /** The list and the count with all of it done. */
  overlay(notifications: Notification[], unread: number | null): [Notification[], number | null];
}

/** Nothing is under way. */
export function createChanges(list: NotificationList): Changes {
  const changes = new Set<Change>();

  function begin(kind: Change["kind"], ids: readonly number[] | "all", newest: number): Change {
    const which = ids === "all" ? "all" : new Set(ids);
    const change: Change = { kind, ids: which, newest, done: false, told: false };
    changes.add(change);
    return change;
  }

  function finish(change: Change, changed: boolean): void {
    change.done = true;
    if (!changed && change.ids === "all") change.told = true;
    settle();
  }

  function apply(event: StreamEvent): void {
    if (event.event === "read" && event.data.ids === "all") {
      for (const change of changes) change.told ||= change.ids === "all";
    }
    settle();
  }

  /** Forget what the list shows by itself. */
  function settle(): void {
    for (const change of changes) {
      if (change.done && (change.ids === "all" ? change.told : ![...change.ids].some((id) => hides(change, id)))) {
        changes.delete(change);
      }
    }
  }

  function hides(change: Change, id: number): boolean {
    const one = list.get(id);
    return one !== undefined && (change.kind === "remove" || !one.is_read);
  }

  function covers(kind: Change["kind"], id: number): boolean {
    return [...changes].some(
      (change) => change.kind === kind && (change.ids === "all" ? id <= change.newest : change.ids.has(id)),
    );
  }

  function overlay(notifications: Notification[], unread: number | null): [Notification[], number | null] {
    if (changes.size === 0) return [notifications, unread];
    const shown = notifications
      .filter((one) => !covers("remove", one.id))
      .map((one) => (one.is_read || !covers("read", one.id) ? one : { ...one, is_read: true }));
    if (unread === null) return [shown, null];
    const left = countUnread(shown);
    // What came after "all" is new, and so it is loaded. Otherwise there may be unread ones that are not.
    if ([...changes].some((change) => change.ids === "all")) return [shown, left];
    return [shown, Math.max(0, unread - (countUnread(notifications) - left))];
  }

  return {
    begin,
    drop: (change) => changes.delete(change),
    finish,
    apply,
    done: () => [...changes].filter((change) => change.done),
    overlay,
  };
}

function countUnread(notifications: Notification[]): number {
  return notifications.filter((one) => !one.is_read).length;
}
