import type { Notification } from "../events.js";
import type { StreamState } from "../state.js";

/** Every word that the components say. Replace those you want with `labels` of `NotificationsProvider`. */
export interface Labels {
  /** The name of the bell, its panel and the list. */
  notifications: string;
  /** How many are unread; `null` until it is known. */
  unread: (count: number | null) => string;
  /** The badge: short, and not longer than three characters. */
  badge: (count: number) => string;
  /** Read out when some have arrived. */
  arrived: (notifications: readonly Notification[], unread: number | null) => string;
  /** Read out before the title of an unread one. */
  unreadMark: string;
  markAllAsRead: string;
  markAsRead: string;
  remove: string;
  /** In the place of one that was deleted, beside `undo`. */
  removed: string;
  undo: string;
  /** Shows the rest of a long message, and hides it again. */
  more: string;
  less: string;
  /** So many have arrived and wait, since the list does not move under the pointer. */
  waiting: (count: number) => string;
  loading: string;
  loadMore: string;
  empty: string;
  emptyHint: string;
  /** Nobody is signed in, or not any longer. */
  signedOut: string;
  signedOutHint: string;
  signIn: string;
  /** The list could not be fetched. */
  notLoaded: string;
  /** A change was refused, and has been taken back. */
  notSaved: string;
  tryAgain: string;
  /** What `SSEConnectionStatus` says in each state. */
  status: (state: StreamState) => string;
  retryNow: string;
}

/** The words in English. */
export const ENGLISH: Labels = {
  notifications: "Notifications",
  unread: (count) => (count === null ? "unread count not known yet" : `${count} unread`),
  badge: (count) => (count > 99 ? "99+" : String(count)),
  arrived: (notifications, unread) => {
    const [first, ...others] = notifications;
    const what = others.length === 0 ? `New: ${first?.title}` : `${notifications.length} new notifications`;
    return `${what}. ${ENGLISH.unread(unread)}.`;
  },
  unreadMark: "Unread",
  markAllAsRead: "Mark all read",
  markAsRead: "Mark read",
  remove: "Delete",
  removed: "Deleted",
  undo: "Undo",
  more: "More",
  less: "Less",
  waiting: (count) => `${count} new`,
  loading: "Loading…",
  loadMore: "Show older",
  empty: "All quiet",
  emptyHint: "What arrives appears here at once.",
  signedOut: "Signed out",
  signedOutHint: "Sign in to see your notifications.",
  signIn: "Sign in",
  notLoaded: "The notifications could not be loaded.",
  notSaved: "That could not be saved.",
  tryAgain: "Try again",
  status: describe,
  retryNow: "Try now",
};

const CLOSED = {
  closed: "Disconnected",
  ended: "Ended by the service",
  unauthorized: "Signed out",
  "wrong-user": "Signed in as someone else",
  lost: "Disconnected",
};

function describe(state: StreamState): string {
  switch (state.status) {
    case "idle":
      return "Not connected";
    case "connecting":
      return "Connecting…";
    case "open":
      return "Live";
    case "polling":
      return "Live, by long poll";
    case "reconnecting":
      return state.error.kind === "offline" ? "Offline" : "Reconnecting…";
    case "closed":
      return CLOSED[state.reason];
  }
}
