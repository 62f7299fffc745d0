import type { EventName, Notification } from "../src/events.js";

const THEN = "2026-11-23T21:00:00Z";
const LATER = "2026-11-23T21:00:01Z";

type Ids = number[] | "all";

/** What the service stores for one user, and does to it. `append` receives every event, with the counts after it. */
export function createScriptedInbox(append: (event: EventName, data: object) => void) {
  const notifications = new Map<number, Notification>();
  let numbers = 0; // of ids and of places, which share one sequence
  let seenTo = 0;

  const isUnread = (item: Notification) => !item.is_read && item.archived_at === null;
  const isSeen = (item: Notification) => item.is_read || item.position <= seenTo;
  const all = () => [...notifications.values()];
  const counts = () => ({
    unread_count: all().filter(isUnread).length,
    unseen_count: all().filter((item) => isUnread(item) && !isSeen(item)).length,
  });

  let userId = "aiko";

  const inbox = {
    get userId() {
      return userId;
    },
    set userId(id: string) {
      userId = id;
    },
    notifications,
    get unread() {
      return counts().unread_count;
    },
    counts,
    /** How many numbers were assigned: no id is greater. */
    get created() {
      return numbers;
    },
    get byCategory() {
      const result: Record<string, number> = Object.create(null); // one may be called "constructor"
      for (const item of all().filter(isUnread)) {
        if (item.category !== null) result[item.category] = (result[item.category] ?? 0) + 1;
      }
      return result;
    },
    /** It as the service shows it. */
    show: (item: Notification): Notification => ({ ...item, is_seen: isSeen(item) }),

    create(title = "A notification", fields: Partial<Notification> = {}): Notification {
      const created: Notification = {
        ...BLANK,
        id: ++numbers,
        position: numbers,
        user_id: userId,
        title,
        ...fields,
      };
      notifications.set(created.id, created);
      append("notification", created);
      return created;
    },

    /** Create, replace or fold by key. */
    put(key: string, title: string, { fold = false, quiet = false, ...fields }: PutOptions = {}): Notification {
      const present = all().find((item) => item.key === key);
      if (!present) return inbox.create(title, { key, ...fields });
      const before = counts().unread_count;
      const next: Notification = {
        ...present,
        ...fields,
        title,
        revision: present.revision + 1,
        count: fold && isUnread(present) ? present.count + 1 : 1,
        position: quiet ? present.position : ++numbers,
        is_read: quiet && present.is_read,
        read_at: quiet ? present.read_at : null,
        archived_at: quiet ? present.archived_at : null,
      };
      notifications.set(next.id, next);
      append("updated", { ...inbox.show(next), ...counts() });
      tellFirstEdition(before);
      return next;
    },

    retract(key: string): void {
      for (const item of all().filter((item) => item.key === key)) inbox.remove(item.id);
    },

    read(ids: Ids): number {
      const changed = pick(ids, (item) => !item.is_read);
      for (const item of changed) notifications.set(item.id, { ...item, is_read: true, read_at: LATER });
      if (changed.length > 0) append("read", { ids: named(ids, changed), read_at: LATER, ...counts() });
      return changed.length;
    },

    markUnread(ids: number[]): number {
      return change(ids, "unread", (item) => item.is_read, { is_read: false, read_at: null });
    },

    archive(ids: Ids): number {
      return change(ids, "archived", (item) => item.archived_at === null, { archived_at: LATER });
    },

    unarchive(ids: number[]): number {
      return change(ids, "unarchived", (item) => item.archived_at !== null, { archived_at: null });
    },

    see(): void {
      const before = counts().unseen_count;
      seenTo = Math.max(seenTo, ...all().map((item) => item.position));
      if (before > 0) append("seen", { unseen_count: 0 });
    },

    remove(id: number): boolean {
      const result = notifications.delete(id);
      if (result) append("deleted", { ids: [id], ...counts() });
      return result;
    },

    page(query: URLSearchParams) {
      const limit = Number(query.get("limit") ?? 50);
      const before = Number(query.get("before") ?? Number.POSITIVE_INFINITY);
      const words = (query.get("q") ?? "").toLowerCase().split(/\s+/);
      const result = all()
        .filter((item) => item.position < before)
        .filter((item) => (item.archived_at !== null) === (query.get("archived") === "true"))
        .filter((item) => !(query.get("unread") && item.is_read))
        .filter((item) => !query.get("category") || item.category === query.get("category"))
        .filter((item) => words.every((word) => `${item.title}\n${item.message}`.toLowerCase().includes(word)))
        .sort((a, b) => b.position - a.position);
      const shown = result.slice(0, limit).map(inbox.show);
      return {
        notifications: shown,
        unread_count: counts().unread_count,
        next_before: result.length > limit ? (shown.at(-1)?.position ?? null) : null,
      };
    },
  };

  function change(
    ids: Ids,
    event: EventName,
    which: (item: Notification) => boolean,
    to: Partial<Notification>,
  ): number {
    const before = counts().unread_count;
    const changed = pick(ids, which);
    for (const item of changed) notifications.set(item.id, { ...item, ...to });
    if (changed.length > 0) {
      append(event, { ids: named(ids, changed), ...(to.archived_at && { archived_at: to.archived_at }), ...counts() });
      tellFirstEdition(before);
    }
    return changed.length;
  }

  function tellFirstEdition(before: number): void {
    if (counts().unread_count !== before) append("read", { ids: [], read_at: null, ...counts() });
  }

  function pick(ids: Ids, which: (item: Notification) => boolean): Notification[] {
    return all().filter((item) => (ids === "all" || ids.includes(item.id)) && which(item));
  }

  return inbox;
}

type PutOptions = Partial<Notification> & { fold?: boolean; quiet?: boolean };

function named(ids: Ids, changed: Notification[]): Ids {
  return ids === "all" ? ids : changed.map((item) => item.id);
}

const BLANK: Omit<Notification, "id" | "position" | "user_id" | "title"> = {
  type: "test",
  message: "",
  payload: {},
  is_read: false,
  read_at: null,
  created_at: THEN,
  expires_at: null,
  url: null,
  icon: null,
  actor: null,
  actions: [],
  category: null,
  priority: "normal",
  key: null,
  revision: 1,
  count: 1,
  actors: [],
  is_seen: false,
  archived_at: null,
  updated_at: THEN,
};
