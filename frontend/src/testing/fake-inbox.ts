import type { Counts, EventData, EventName, Notification } from "../events.js";
import type { FakeInbox } from "./types.js";

/** An event of the log, as a stream delivers it. */
export interface Entry {
  id: string;
  event: EventName;
  data: unknown;
}

/** A fake inbox, its log, and its listeners. */
export interface LoggedInbox extends FakeInbox {
  /** The cursor behind the last event. */
  readonly cursor: string;
  /** The events behind a cursor; `null` if the log does not have it. */
  after(cursor: string): Entry[] | null;
  follow(listener: () => void): () => void;
  /** The counts now, or as they were at a cursor. */
  counts(cursor?: string): Counts;
}

/** The inbox of a user who has nothing yet. */
export function createFakeInbox(user: string): LoggedInbox {
  const stored = new Map<number, Notification>();
  const log: Entry[] = [];
  const counted: Counts[] = [{ unread_count: 0, unseen_count: 0 }]; // before each entry, and after the last
  const listeners = new Set<() => void>();
  let numbers = 0; // of ids and positions
  let seenTo = 0;

  const isUnread = (notification: Notification) => !notification.is_read && notification.archived_at === null;
  const all = () => [...stored.values()].sort((a, b) => b.position - a.position);
  const now = () => new Date().toISOString();

  function counts(cursor?: string): Counts {
    if (cursor !== undefined) return counted[place(cursor)] ?? counts();
    const unread = all().filter(isUnread);
    return { unread_count: unread.length, unseen_count: unread.filter((notification) => !notification.is_seen).length };
  }

  function append<Name extends EventName>(event: Name, data: EventData[Name]): void {
    log.push({ id: `fake-${log.length + 1}`, event, data });
    counted.push(counts());
    for (const listener of [...listeners]) listener();
  }

  function notify(fields: Partial<Notification> = {}): Notification {
    const present = fields.key == null ? undefined : all().find((notification) => notification.key === fields.key);
    if (present) return replace(present, fields);
    const id = fields.id ?? ++numbers;
    numbers = Math.max(numbers, id);
    const created_at = fields.created_at ?? now();
    const made: Notification = { ...blank(user), id, position: id, created_at, updated_at: created_at, ...fields };
    stored.set(id, made);
    append("notification", made as EventData["notification"]);
    return made;
  }

  function replace(present: Notification, fields: Partial<Notification>): Notification {
    const state = { is_read: false, read_at: null, is_seen: false, archived_at: null };
    const place = { id: present.id, position: ++numbers, revision: present.revision + 1, updated_at: now() };
    const made: Notification = { ...present, ...state, ...fields, ...place };
    stored.set(made.id, made);
    append("updated", { ...made, ...counts() } as EventData["updated"]);
    return made;
  }

  /** Change those that are not so yet; returns their ids. */
  function change(
    ids: readonly number[] | "all",
    applies: (notification: Notification) => boolean,
    fields: Partial<Notification>,
  ): number[] {
    const changed = all().filter(
      (notification) => (ids === "all" || ids.includes(notification.id)) && applies(notification),
    );
    for (const notification of changed) stored.set(notification.id, { ...notification, ...fields });
    return changed.map((notification) => notification.id);
  }

  function read(ids: readonly number[] | "all"): number {
    const read_at = now();
    const changed = change(ids, (notification) => !notification.is_read, { is_read: true, is_seen: true, read_at });
    if (changed.length > 0) append("read", { ids: ids === "all" ? ids : changed, read_at, ...counts() });
    return changed.length;
  }

  function unread(ids: readonly number[]): number {
    const changed = change(ids, (notification) => notification.is_read, { is_read: false, read_at: null });
    for (const id of changed) {
      const notification = stored.get(id) as Notification;
      stored.set(id, { ...notification, is_seen: notification.position <= seenTo });
    }
    if (changed.length > 0) append("unread", { ids: changed, ...counts() });
    return changed.length;
  }

  function archive(ids: readonly number[] | "all"): number {
    const archived_at = now();
    const changed = change(ids, (notification) => notification.archived_at === null, { archived_at });
    if (changed.length > 0) append("archived", { ids: ids === "all" ? ids : changed, archived_at, ...counts() });
    return changed.length;
  }

  function unarchive(ids: readonly number[]): number {
    const changed = change(ids, (notification) => notification.archived_at !== null, { archived_at: null });
    if (changed.length > 0) append("unarchived", { ids: changed, ...counts() });
    return changed.length;
  }

  function remove(ids: readonly number[]): number {
    const removed = ids.filter((id) => stored.delete(id));
    if (removed.length > 0) append("deleted", { ids: removed, ...counts() });
    return removed.length;
  }

  function seen(): void {
    seenTo = numbers;
    if (change("all", (notification) => !notification.is_seen, { is_seen: true }).length > 0)
      append("seen", { unseen_count: 0 });
  }

  function after(cursor: string): Entry[] | null {
    const from = place(cursor);
    return from <= log.length ? log.slice(from) : null; // which NaN is not
  }

  function place(cursor: string): number {
    return Number(/^fake-(\d+)$/.exec(cursor)?.[1] ?? Number.NaN);
  }

  return {
    get notifications() {
      return all();
    },
    get unreadCount() {
      return counts().unread_count;
    },
    get unseenCount() {
      return counts().unseen_count;
    },
    get cursor() {
      return `fake-${log.length}`;
    },
    counts,
    after,
    follow: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    notify,
    retract: (key) => void remove(all().flatMap((notification) => (notification.key === key ? [notification.id] : []))),
    read,
    unread,
    archive,
    unarchive,
    remove,
    seen,
  };
}

function blank(user: string): Omit<Notification, "id" | "position" | "created_at" | "updated_at"> {
  return {
    ...{ user_id: user, type: "test", title: "A notification", message: "", payload: {}, expires_at: null },
    ...{ url: null, icon: null, actor: null, actions: [], category: null, priority: "normal", key: null },
    ...{ is_read: false, read_at: null, is_seen: false, archived_at: null, revision: 1, count: 1, actors: [] },
  };
}
