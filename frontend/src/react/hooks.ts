"use client";
import { useMemo, useSyncExternalStore } from "react";
import { statusOf } from "../api-error.js";
import type { InboxSnapshot } from "../inbox/index.js";
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
  /** Show one on the desktop. Returns whether it was shown: only if the user has permitted it before. */
  showNotification: ShowNotification;
  /** Mark some read. Shown at once, and taken back if the service refuses; then it rejects. */
  markAsRead(ids: number | readonly number[]): Promise<void>;
  /** Mark all read, also those that are not loaded. */
  markAllAsRead(): Promise<void>;
  /** Remove one. With `undoFor`, `restore` undoes it for so many milliseconds, or until `flush` does not wait. */
  remove(id: number, options?: { undoFor?: number }): Promise<void>;
  restore(id: number): void;
  flush(): void;
  /** Load the next page of older ones. */
  loadMore(): Promise<void>;
  /** Fetch the list again. Hardly ever needed: the stream keeps it true. */
  refreshNotifications(): Promise<void>;
  /** Ask for the unread count. Only of use while there is no connection. */
  refreshUnreadCount(): Promise<void>;
}

/** The user's notifications and what can be done with them. */
export function useNotifications(): Notifications {
  const { client, first = NOTHING, navigate } = useProvided();
  const inbox = client?.inbox;
  const snapshot = useSyncExternalStore(
    inbox?.subscribe ?? neverChanges,
    () => inbox?.getSnapshot() ?? first,
    () => first,
  );
  const isSSEConnected = useStateOf(client?.stream).status === "open";
  const actions = useMemo(() => actionsOf(client, navigate), [client, navigate]);
  return useMemo(() => ({ ...snapshot, ...actions, isSSEConnected }), [snapshot, actions, isSSEConnected]);
}

function actionsOf(client: Client | null, navigate: Navigate | undefined) {
  const inbox = () => {
    if (!client) throw new Error("nobody is signed in, or this was called before the provider was mounted");
    return client.inbox;
  };
  return {
    showNotification: (shown: string | DesktopMessage, message?: string) =>
      showOnDesktop(
        typeof shown === "string" ? { title: shown, ...(message !== undefined && { message }) } : shown,
        navigate,
      ),
    markAsRead: async (ids: number | readonly number[]) => inbox().markAsRead(typeof ids === "number" ? [ids] : ids),
    markAllAsRead: async () => inbox().markAllAsRead(),
    remove: async (id: number, options?: { undoFor?: number }) => inbox().remove(id, options),
    restore: (id: number) => client?.inbox.restore(id),
    flush: () => client?.inbox.flush(),
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
