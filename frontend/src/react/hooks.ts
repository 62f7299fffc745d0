"use client";
import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { statusOf } from "../api-error.js";
import type { Notification } from "../events.js";
import type { InboxSnapshot } from "../inbox/index.js";
import type { StreamState } from "../state.js";
import type { NotificationStream } from "../types.js";
import { type Client, useProvided } from "./context.js";
import { showOnDesktop } from "./desktop.js";

const IDLE: StreamState = { status: "idle" };
const NOTHING: InboxSnapshot = {
  status: "loading",
  notifications: [],
  unreadCount: null,
  hasMore: false,
  isLoadingMore: false,
  error: null,
};
const neverChanges = () => () => {};

/** The state of the stream, and how to make it try at once. */
export interface NotificationSSE {
  readonly state: StreamState;
  /** Whether a stream is open, here or in the tab that this one shares it with. */
  readonly isConnected: boolean;
  /** Try at once what is being waited for, or open again what the service ended. */
  retryNow(): void;
}

/** What `useNotificationSSE` calls. They may be new functions at each render. */
export interface NotificationSSEHandlers {
  /** One has arrived: each once, in the order of the stream. */
  onNotification?: (notification: Notification) => void;
  /** The connection was lost, or closed for a reason of the service's; called once for each loss. */
  onError?: (state: Extract<StreamState, { status: "reconnecting" | "closed" }>) => void;
  /** A connection has been made. Called at once if there is one already. */
  onConnected?: (state: Extract<StreamState, { status: "open" | "polling" }>) => void;
}

/** Follow the stream of the provider above. */
export function useNotificationSSE(handlers: NotificationSSEHandlers = {}): NotificationSSE {
  const { client } = useProvided();
  const state = useStreamState(client);
  const latest = useRef(handlers);
  useEffect(() => {
    latest.current = handlers;
  });
  useEffect(() => client?.stream.on("notification", (data) => latest.current.onNotification?.(data)), [client]);
  useEffect(() => (client ? tellOfStates(client, () => latest.current) : undefined), [client]);
  return useMemo(
    () => ({ state, isConnected: state.status === "open", retryNow: () => client?.stream.retryNow() }),
    [state, client],
  );
}

function tellOfStates({ stream }: Client, handlers: () => NotificationSSEHandlers): () => void {
  let told: unknown = null; // the fault or the kind of connection that was told of last
  const tell = () => {
    const state = stream.getState();
    const what = state.status === "reconnecting" ? state.error : state.status;
    if (what === told) return;
    told = what;
    if (state.status === "open" || state.status === "polling") handlers().onConnected?.(state);
    else if (state.status === "reconnecting") handlers().onError?.(state);
    else if (state.status === "closed" && state.reason !== "closed") handlers().onError?.(state);
  };
  tell();
  return stream.subscribe(tell);
}

function useStreamState(client: Client | null): StreamState {
  const stream = client?.stream;
  return useSyncExternalStore(
    stream?.subscribe ?? neverChanges,
    () => stream?.getState() ?? IDLE,
    () => IDLE,
  );
}

/** What `useNotifications` returns. The functions stay the same while the user does. */
export interface Notifications extends InboxSnapshot {
  /** Whether a stream is open, here or in the tab that this one shares it with. */
  readonly isSSEConnected: boolean;
  /** Show one on the desktop. Returns whether it was shown: only if the user has permitted it before. */
  showNotification(notification: Notification): boolean;
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
  const { client } = useProvided();
  const inbox = client?.inbox;
  const snapshot = useSyncExternalStore(
    inbox?.subscribe ?? neverChanges,
    () => inbox?.getSnapshot() ?? NOTHING,
    () => NOTHING,
  );
  const isSSEConnected = useStreamState(client).status === "open";
  const actions = useMemo(() => actionsOf(client), [client]);
  return useMemo(() => ({ ...snapshot, ...actions, isSSEConnected }), [snapshot, actions, isSSEConnected]);
}

function actionsOf(client: Client | null) {
  const inbox = () => {
    if (!client) throw new Error("nobody is signed in, or this was called before the provider was mounted");
    return client.inbox;
  };
  return {
    showNotification: showOnDesktop,
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
  const state = useStreamState(client);
  const { error } = useNotifications();
  if (isSignedOut) return true;
  if (state.status !== "closed") return statusOf(error) === 401;
  return state.reason === "unauthorized" || state.reason === "wrong-user";
}

/** The stream of the provider above, for what the other hooks do not give. `null` while there is none. */
export function useNotificationStream(): NotificationStream | null {
  return useProvided().client?.stream ?? null;
}
