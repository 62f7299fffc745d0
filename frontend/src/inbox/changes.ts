import type { Counts, EventData, Notification, StreamEvent } from "../events.js";

/** Something that happens to notifications, under the name of its event. */
export type Kind = "read" | "unread" | "archived" | "unarchived" | "deleted" | "seen";

/** What has happened to some notifications, or was requested and is shown before the stream confirms it. */
export interface Change {
  readonly kind: Kind;
  readonly ids: ReadonlySet<number>;
  /** Whether it concerns all, of which `ids` are those that are loaded. */
  readonly isAll?: boolean;
  /** When it happened, if it has. */
  readonly at: string | null;
  /** Whether the service has answered that it made it. */
  isMade?: boolean;
}

/** What each kind sets in a notification; `deleted` leaves nothing to set. */
const EFFECTS: Record<Kind, (notification: Notification, at: string | null) => Partial<Notification> | null> = {
  read: ({ read_at }, at) => ({ is_read: true, is_seen: true, read_at: read_at ?? at }),
  unread: () => ({ is_read: false, read_at: null }),
  archived: ({ archived_at, updated_at }, at) => ({ archived_at: archived_at ?? at ?? updated_at }),
  unarchived: () => ({ archived_at: null }),
  seen: () => ({ is_seen: true }),
  deleted: () => null,
};

/** A notification after changes: the same object if none concerns it, `undefined` if it is gone. */
export function after(changes: Iterable<Change>, notification: Notification): Notification | undefined {
  let shown: Notification | undefined = notification;
  for (const { kind, ids, at } of changes) {
    if (!shown || !ids.has(shown.id)) continue;
    const effect = EFFECTS[kind](shown, at);
    shown = effect ? { ...shown, ...effect } : undefined;
  }
  return shown;
}

/**
 * Apply an event to the loaded notifications, by id.
 *
 * Each event contains the state after it, so that a page which was fetched somewhere in the middle of some events
 * is brought to their end by applying them all, in order, whichever of them it had in it already. What is archived
 * stays, so that it can be brought back.
 */
export function apply({ event, data }: StreamEvent, items: Map<number, Notification>): void {
  if (event === "notification" || event === "updated") {
    const { unread_count: _, unseen_count: __, ...notification } = data as Notification & Partial<Counts>;
    if (data.revision >= (items.get(data.id)?.revision ?? 0)) items.set(data.id, notification);
  }
  if (!(event in EFFECTS)) return;
  const { ids = "all", read_at, archived_at } = data as Partial<EventData["read"] & EventData["archived"]>;
  const at = read_at ?? archived_at ?? null;
  const change: Change = { kind: event as Kind, ids: new Set(ids === "all" ? items.keys() : ids), at };
  for (const id of change.ids) {
    const notification = items.get(id);
    const next = notification && after([change], notification);
    if (next) items.set(id, next);
    else items.delete(id);
  }
}

/** Whether an event is what a requested change was to cause, or has the same result. */
export function isConfirmed({ kind, ids, isAll }: Change, { event, data }: StreamEvent): boolean {
  const { ids: reported = "all" } = data as Partial<EventData["read"]>;
  return kind === event && (isAll || reported === "all" || reported.some((id) => ids.has(id)));
}
