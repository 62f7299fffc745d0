import type { EventData, Notification, StreamEvent } from "../events.js";
import { after, type Kind } from "./view.js";

/** A page of a list, as REST answers. */
export interface Page {
  notifications: Notification[];
  unread_count: number;
  next_before: number | null;
}

/** The loaded notifications of all lists, as the service sent them. */
export interface Items {
  readonly all: ReadonlyMap<number, Notification>;
  /** How often events were missed. */
  age: number;
  /** The age at which it was last sent: an older one may be gone. */
  ageOf(id: number): number;
  apply(event: StreamEvent): void;
  /** It is gone, as the service has answered. */
  forget(id: number): void;
  /** Take a page, and the events that came while it was fetched. */
  take(page: Page, since: readonly StreamEvent[]): void;
}

/**
 * Nothing is loaded.
 *
 * Each event contains the state after it, so that a page which was fetched somewhere in the middle of some events
 * is brought to their end by applying them all, in order, whichever of them it had in it already. What is archived
 * stays, so that it can be brought back.
 */
export function createItems(): Items {
  const all = new Map<number, Notification>();
  const ages = new Map<number, number>();

  function apply({ event, data }: StreamEvent): void {
    if (event === "notification" || event === "updated") replace(data);
    if (event !== "seen" && !("ids" in data)) return;
    const { ids = "all", read_at, archived_at } = data as Partial<EventData["read"] & EventData["archived"]>;
    for (const id of ids === "all" ? [...all.keys()] : ids) change(id, event as Kind, read_at ?? archived_at);
  }

  function replace({
    unread_count: _,
    unseen_count: __,
    ...notification
  }: Notification & Partial<EventData["updated"]>): void {
    if ((all.get(notification.id)?.revision ?? 0) <= notification.revision) put(notification);
  }

  function change(id: number, kind: Kind, at?: string): void {
    const notification = all.get(id);
    const next = notification && after(kind, notification, at);
    if (next) all.set(id, next);
    else all.delete(id);
  }

  function take(page: Page, since: readonly StreamEvent[]): void {
    for (const notification of page.notifications) put(notification);
    for (const event of since) apply(event);
  }

  function put(notification: Notification): void {
    all.set(notification.id, notification);
    ages.set(notification.id, items.age);
  }

  const items = {
    all,
    age: 0,
    ageOf: (id: number) => ages.get(id) ?? -1,
    apply,
    forget: (id: number) => void all.delete(id),
    take,
  };
  return items;
}
