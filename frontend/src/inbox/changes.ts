import type { Counter } from "../counter.js";
import type { EventData, Notification, StreamEvent } from "../events.js";
import { type ByCategory, type CountsSnapshot, recount } from "./counts.js";
import { after, type Kind } from "./view.js";

/** A change that was requested, and is shown before the stream confirms it. */
export interface Change {
  readonly kind: Kind;
  /** Whether it concerns this notification. */
  covers(id: number): boolean;
  /** Whether it concerns all notifications that there were. */
  readonly all: boolean;
  /** Whether the service has answered. */
  done: boolean;
  /** Whether no event will confirm it: nothing changed, or what is loaded is newer. */
  silent: boolean;
}

/** The changes that the stream has not confirmed. */
export interface Changes {
  begin(kind: Kind, ids: readonly number[] | "all"): Change;
  /** Undo it: the service has refused it. */
  drop(change: Change): void;
  /** The loaded notifications were fetched again. */
  renew(): void;
  /** Drop changes that the loaded notifications contain, or that this event confirms. */
  settle(event?: StreamEvent): void;
  /** A notification with all changes applied; `undefined` if it is gone. */
  overlay(notification: Notification): Notification | undefined;
  /** The counts with all changes applied. */
  count(byCategory: ByCategory): CountsSnapshot;
}

/** No changes yet. `items` are the loaded notifications, as the service sent them. */
export function createChanges(items: ReadonlyMap<number, Notification>, counter: Counter): Changes {
  const changes = new Set<Change>();

  function begin(kind: Kind, ids: readonly number[] | "all"): Change {
    const newest = Math.max(0, ...items.keys());
    const all = ids === "all";
    const covers = all ? (id: number) => id <= newest : (id: number) => ids.includes(id);
    const change = { kind, covers, all, done: false, silent: false };
    changes.add(change);
    return change;
  }

  function settle(event?: StreamEvent): void {
    const { ids = "all" } = (event?.data ?? {}) as Partial<EventData["read"]>;
    for (const change of changes) {
      const isConfirmed = change.kind === event?.event && (ids === "all" || ids.some(change.covers));
      if (isConfirmed || (change.done && (change.silent || isShown(change)))) changes.delete(change);
    }
  }

  function isShown({ kind, covers }: Change): boolean {
    if (kind === "seen") return !counter.unseen;
    return ![...items.values()].some(
      (notification) => covers(notification.id) && after(kind, notification) !== notification,
    );
  }

  function overlay(notification: Notification): Notification | undefined {
    let shown: Notification | undefined = notification;
    for (const { kind, covers } of changes) if (shown && covers(notification.id)) shown = after(kind, shown);
    return shown;
  }

  function count(byCategory: ByCategory): CountsSnapshot {
    const all = new Set([...changes].map((change) => change.all && change.kind));
    return recount(counter, byCategory, changes.size > 0 ? items.values() : [], overlay, all);
  }

  return {
    begin,
    drop: (change) => changes.delete(change),
    renew: () => {
      for (const change of changes) change.silent = true;
      settle();
    },
    settle,
    overlay,
    count,
  };
}
