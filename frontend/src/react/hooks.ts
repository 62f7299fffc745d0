"use client";
import { useEffect, useLayoutEffect, useMemo, useState, useSyncExternalStore } from "react";
import { statusOf } from "../api-error.js";
import { createInbox, type Inbox, type InboxFilter, type InboxSnapshot } from "../inbox/index.js";
import type { NotificationStream } from "../types.js";
import { type Client, useProvided } from "./context.js";
import { type DesktopMessage, showOnDesktop } from "./desktop.js";
import type { Navigate } from "./navigate.js";
import { useStateOf } from "./use-state-of.js";

const NOTHING: InboxSnapshot = {
  status: "loading",
  notifications: [],
  unreadCount: null,
  unseenCount: null,
  byCategory: null,
  hasMore: false,
  isLoadingMore: false,
  error: null,
};
const neverChanges = () => () => {};

/** Shows something on the desktop: a notification, or words of the page's own. */
export interface ShowNotification {
  (title: string, message?: string): boolean;
  (shown: DesktopMessage): boolean;
}

/** What `useNotifications` returns. The functions stay the same while the user does. */
export interface Notifications extends InboxSnapshot {
  /** Whether a stream is open, here or in the tab that this one shares it with: `false` for what is polled. */
  readonly isSSEConnected: boolean;
  /** Show a notification on the desktop. Returns whether it was shown: only if the user has permitted it before. */
  showNotification: ShowNotification;
  /** Mark some read. Shown at once, and taken back if the service refuses; then it rejects. */
  markAsRead(ids: number | readonly number[]): Promise<void>;
  /** Mark all read, also those that are not loaded. */
  markAllAsRead(): Promise<void>;
  /** Mark some unread again. */
  markAsUnread(ids: number | readonly number[]): Promise<void>;
  /** Everything up to now counts as seen. */
  markAsSeen(): Promise<void>;
  /** Take some out of the list and the counts. */
  archive(ids: number | readonly number[]): Promise<void>;
  /** Bring some back from the archive. */
  unarchive(ids: number | readonly number[]): Promise<void>;
  /** Archive all, also those that are not loaded. */
  archiveAll(): Promise<void>;
  /** Remove a notification. With `undoFor`, `restore` undoes it for so many milliseconds, or until `flush` does not wait. */
  remove(id: number, options?: { undoFor?: number }): Promise<void>;
  restore(id: number): void;
  flush(): void;
  /** Load the next page of older ones. */
  loadMore(): Promise<void>;
  /** Fetch the list again. Hardly ever needed: the stream keeps it true. */
  refreshNotifications(): Promise<void>;
  /** Fetch the unread count. Only useful while there is no connection. */
  refreshUnreadCount(): Promise<void>;
}

/** Which notifications: those of a category, unread, archived or found by words; all that are not archived by default. */
export interface NotificationsFilter extends InboxFilter {
  /** Whether `byCategory` is kept. */
  byCategory?: boolean | undefined;
}

/** The user's notifications, or some of them, and what can be done with them. */
export function useNotifications(filter: NotificationsFilter = {}): Notifications {
  const { client, first = NOTHING, navigate } = useProvided();
  const inbox = useInbox(client, JSON.stringify(filter));
  const isMain = inbox === client?.inbox;
  const snapshot = useSyncExternalStore(
    inbox?.subscribe ?? neverChanges,
    () => inbox?.getSnapshot() ?? (isMain ? first : NOTHING),
    () => first,
  );
  const isSSEConnected = useStateOf(client?.stream).status === "open";
  const actions = useMemo(() => actionsOf(inbox ?? client?.inbox, navigate), [inbox, client, navigate]);
  return useMemo(() => ({ ...snapshot, ...actions, isSSEConnected }), [snapshot, actions, isSSEConnected]);
}

const useBeforePaint = typeof window === "undefined" ? useEffect : useLayoutEffect;

/** The inbox of a filter: the client's own, or one for as long as the component has this filter. */
function useInbox(client: Client | null, filter: string): Inbox | undefined {
  const [made, setMade] = useState<{ client: Client; filter: string; inbox: Inbox } | null>(null);
  const isMain = filter === "{}";
  useBeforePaint(() => {
    if (isMain || !client) return;
    const inbox = createInbox(client.stream, JSON.parse(filter));
    setMade({ client, filter, inbox });
    return inbox.close;
  }, [client, filter, isMain]);
  if (isMain) return client?.inbox;
  return made?.client === client && made?.filter === filter ? made.inbox : undefined;
}

function actionsOf(own: Inbox | undefined, navigate: Navigate | undefined) {
  const inbox = () => {
    if (!own) throw new Error("nobody is signed in, or this was called before the provider was mounted");
    return own;
  };
  const some = (ids: number | readonly number[]) => (typeof ids === "number" ? [ids] : ids);
  return {
    showNotification: (shown: string | DesktopMessage, message?: string) =>
      showOnDesktop(
        typeof shown === "string" ? { title: shown, ...(message !== undefined && { message }) } : shown,
        navigate,
      ),
    markAsRead: async (ids: number | readonly number[]) => inbox().markAsRead(some(ids)),
    markAsUnread: async (ids: number | readonly number[]) => inbox().markAsUnread(some(ids)),
    markAllAsRead: async () => inbox().markAllAsRead(),
    markAsSeen: async () => inbox().markAsSeen(),
    archive: async (ids: number | readonly number[]) => inbox().archive(some(ids)),
    unarchive: async (ids: number | readonly number[]) => inbox().unarchive(some(ids)),
    archiveAll: async () => inbox().archiveAll(),
    remove: async (id: number, options?: { undoFor?: number }) => inbox().remove(id, options),
    restore: (id: number) => own?.restore(id),
    flush: () => own?.flush(),
    loadMore: async () => inbox().loadMore(),
    refreshNotifications: async () => inbox().refresh(),
    refreshUnreadCount: async () => inbox().refreshUnreadCount(),
  };
}

/** Whether the user has to sign in: there is none, or the service does not accept the credentials. */
export function useSignedOut(): boolean {
  const { client, isSignedOut } = useProvided();
  const state = useStateOf(client?.stream);
  const { error } = useNotifications();
  if (isSignedOut) return true;
  if (state.status !== "closed") return statusOf(error) === 401;
  return state.reason === "unauthorized" || state.reason === "wrong-user";
}

/** The stream of the provider above, for what the other hooks do not give. `null` while there is none. */
export function useNotificationStream(): NotificationStream | null {
  return useProvided().client?.stream ?? null;
}
