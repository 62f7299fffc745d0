import type { Notification } from "../events.js";

/** Which of a user's notifications an inbox has. */
export interface InboxFilter {
  /** Those of this category alone. */
  category?: string;
  /** The archived ones instead of the others. */
  archived?: boolean;
  /** The unread ones alone. */
  unread?: boolean;
  /** Those whose title or message has each of these words. */
  search?: string;
}

/** Something that happens to notifications, under the name of its event. */
export type Kind = "read" | "unread" | "archived" | "unarchived" | "deleted" | "seen";

/** The notification after it: the same object if nothing changes, `undefined` if it is gone. */
export function after(kind: Kind, notification: Notification, at: string | null = null): Notification | undefined {
  const { is_read, is_seen, archived_at } = notification;
  if (kind === "deleted") return undefined;
  if (kind === "seen") return is_seen ? notification : { ...notification, is_seen: true };
  if (kind === "read") return is_read ? notification : { ...notification, is_read: true, is_seen: true, read_at: at };
  if (kind === "unread") return is_read ? { ...notification, is_read: false, read_at: null } : notification;
  if (kind === "archived")
    return archived_at === null ? { ...notification, archived_at: at ?? notification.updated_at } : notification;
  return archived_at === null ? notification : { ...notification, archived_at: null };
}

/** Whether an inbox with this filter has it. */
export function matches({ category, archived, unread, search = "" }: InboxFilter, notification: Notification): boolean {
  const text = `${notification.title}\n${notification.message}`.toLowerCase();
  return (
    !archived === (notification.archived_at === null) &&
    (category ?? notification.category) === notification.category &&
    !(unread && notification.is_read) &&
    search
      .toLowerCase()
      .split(/\s+/)
      .every((word) => text.includes(word))
  );
}

/** Whether a filter leaves nothing out but what is archived. */
export function isWhole({ category, archived, search, unread }: InboxFilter): boolean {
  return !(category || archived || search || unread);
}

/** Whether notifications join a list by such an event, which does not carry them. */
export function joins({ archived, unread }: InboxFilter, event: string): boolean {
  return [archived ? "archived" : "unarchived", unread && "unread", "reset"].includes(event);
}

/** The query of a list's request. */
export function toQuery({ search, ...asked }: InboxFilter & { limit: number; before: number | null }): string {
  const parameters = Object.entries({ ...asked, q: search?.trim() }).filter(([, value]) => value);
  return `${new URLSearchParams(parameters as string[][])}`;
}
