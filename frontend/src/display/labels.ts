import type { Notification } from "../events.js";
import type { StreamState } from "../state.js";
import { labelsFrom } from "./texts.js";

/** All texts of the components. Replace any of them with `labels` of `NotificationsProvider`. */
export interface Labels {
  /** The name of the bell, its panel and the list. */
  notifications: string;
  /** How many are unread; `null` until it is known. */
  unread: (count: number | null) => string;
  /** The badge: short, and not longer than three characters. */
  badge: (count: number) => string;
  /** Read out when some have arrived. */
  arrived: (notifications: readonly Notification[], unread: number | null) => string;
  /** Read out before the title of an unread notification. */
  unreadMark: string;
  /** Before the title of a notification of high priority. */
  important: string;
  /** Who it is about, newest first, if several were folded into it: "Ann and 4 others". */
  actors: (names: readonly string[], count: number) => string;
  /** The tabs. */
  all: string;
  onlyUnread: string;
  archive: string;
  search: string;
  /** Nothing matches what is searched for. */
  noResults: string;
  markAllAsRead: string;
  markAsRead: string;
  markAsUnread: string;
  /** Put it into the archive, and back. */
  toArchive: string;
  fromArchive: string;
  remove: string;
  /** Mute its type: more of the kind is not stored. */
  mute: string;
  /** What `NotificationPreferences` is called, and its columns. */
  preferences: string;
  inInbox: string;
  byPush: string;
  byEmail: string;
  /** By any other service. */
  byOthers: string;
  /** It cannot be switched off. */
  alwaysOn: string;
  /** In the place of a notification that was archived, unarchived or deleted, beside `undo`. */
  archived: string;
  unarchived: string;
  removed: string;
  /** In the place of a notification that was removed while the pointer was over the list. */
  gone: string;
  undo: string;
  /** Closes a toast. */
  dismiss: string;
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
  /** The list or the preferences could not be fetched. */
  notLoaded: string;
  /** A change was refused, and has been taken back. */
  notSaved: string;
  tryAgain: string;
  /** What `SSEConnectionStatus` shows in each state. */
  status: (state: StreamState) => string;
  retryNow: string;
}

/** The words in English. */
export const ENGLISH: Labels = labelsFrom("en", {
  notifications: "Notifications",
  unknown: "unread count not known yet",
  unread: { other: "{n} unread" },
  newNotification: "New: {title}",
  arrived: { one: "{n} new notification", other: "{n} new notifications" },
  unreadMark: "Unread",
  important: "Important",
  others: { one: "{name} and {n} other", other: "{name} and {n} others" },
  all: "All",
  onlyUnread: "Unread",
  archive: "Archived",
  search: "Search",
  noResults: "Nothing found",
  markAllAsRead: "Mark all read",
  markAsRead: "Mark read",
  markAsUnread: "Mark unread",
  toArchive: "Archive",
  fromArchive: "Move to inbox",
  remove: "Delete",
  mute: "Mute this kind",
  preferences: "What you receive",
  inInbox: "Inbox",
  byPush: "Push",
  byEmail: "Email",
  byOthers: "Other apps",
  alwaysOn: "Always on",
  archived: "Archived",
  unarchived: "Moved to inbox",
  removed: "Deleted",
  gone: "No longer here",
  undo: "Undo",
  dismiss: "Dismiss",
  more: "More",
  less: "Less",
  waiting: { other: "{n} new" },
  loading: "Loading…",
  loadMore: "Show older",
  empty: "All quiet",
  emptyHint: "What arrives appears here at once.",
  signedOut: "Signed out",
  signedOutHint: "Sign in to see your notifications.",
  signIn: "Sign in",
  notLoaded: "This could not be loaded.",
  notSaved: "That could not be saved.",
  tryAgain: "Try again",
  retryNow: "Try now",
  idle: "Not connected",
  connecting: "Connecting…",
  open: "Live",
  polling: "Live, by long poll",
  reconnecting: "Reconnecting…",
  offline: "Offline",
  closed: "Disconnected",
  ended: "Ended by the service",
  wrongUser: "Signed in as someone else",
});
