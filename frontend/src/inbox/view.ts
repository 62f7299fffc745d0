import type { Notification } from "../events.js";

/** Which of a user's notifications an inbox has. */
export interface InboxFilter {
  /** Those of this category alone. */
  category?: string | undefined;
  /** The archived ones instead of the others. */
  archived?: boolean | undefined;
  /** The unread ones alone. */
  unread?: boolean | undefined;
  /** Those whose title or message has each of these words. */
  search?: string | undefined;
}

/** Whether an inbox with this filter has it. */
export function matches({ category, archived, unread, search = "" }: InboxFilter, notification: Notification): boolean {
  const text = `${notification.title}\n${notification.message}`.toLowerCase();
  return (
    !archived === !notification.archived_at &&
    (category ?? notification.category) === notification.category &&
    !(unread && notification.is_read) &&
    search
      .toLowerCase()
      .split(/\s+/)
      .every((word) => text.includes(word))
  );
}

/** Whether notifications join a list by such an event, which does not carry them. */
export function joins({ archived, unread }: InboxFilter, event: string): boolean {
  return event === (archived ? "archived" : "unarchived") || event === (unread && "unread");
}
