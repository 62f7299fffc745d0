"use client";
import { useContext, useEffect, useMemo, useRef, useState } from "react";
import type { AnyNotification } from "../events.js";
import type { StreamState } from "../state.js";
import type { NotificationStream } from "../types.js";
import { NotificationsContext } from "./context.js";
import { type LoneStreamOptions, useLoneStream } from "./use-lone-stream.js";
import { useStateOf } from "./use-state-of.js";

const DISCONNECTED: StreamState = { status: "closed", reason: "closed" };

/** Where the stream stands, and how to end it and to make it try at once. */
export interface NotificationSSE {
  readonly state: StreamState;
  /** Whether a stream is open, here or in the tab that this one shares it with. */
  readonly isConnected: boolean;
  /** Stop listening. A provider's stream stays open for the others; this component's own is closed. */
  disconnect(): void;
  /** Try at once what is being waited for, or open again what the service or `disconnect` ended. */
  retryNow(): void;
}

/** What `useNotificationSSE` calls. They may be new functions at each render. */
export interface NotificationSSEHandlers {
  /** One has arrived: each once, in the order of the stream. */
  onNotification?: ((notification: AnyNotification) => void) | undefined;
  /** The connection was lost, or closed for a reason of the service's; called once for each loss. */
  onError?: ((state: Extract<StreamState, { status: "reconnecting" | "closed" }>) => void) | undefined;
  /** A connection has been made. Called at once if there is one already. */
  onConnected?: ((state: Extract<StreamState, { status: "open" | "polling" }>) => void) | undefined;
}

/** What `useNotificationSSE` takes: what it calls and, where there is no provider above, what its stream is made of. */
export interface NotificationSSEOptions extends NotificationSSEHandlers, LoneStreamOptions {}

/**
 * Follow the stream of the provider above; without one, a stream of this component's own.
 *
 * The options of a stream, `autoReconnect` among them, are for the component's own: a provider has options itself.
 */
export function useNotificationSSE(options: NotificationSSEOptions = {}): NotificationSSE {
  const provided = useContext(NotificationsContext);
  const { onNotification, onError, onConnected, ...rest } = options;
  const own = useLoneStream(provided ? null : rest);
  const stream = provided ? (provided.client?.stream ?? null) : own.stream;
  const [isOff, setOff] = useState(false);
  const isLone = provided === null;
  const latest = useRef<NotificationSSEHandlers>({});
  useEffect(() => {
    latest.current = options;
  });
  useEffect(() => {
    if (!stream || isOff) return;
    const ends = [
      stream.on("notification", (data) => latest.current.onNotification?.(data)),
      reportStates(stream, () => latest.current),
    ];
    if (isLone) stream.connect();
    return () => {
      for (const end of ends) end();
    };
  }, [stream, isOff, isLone]);
  const actual = useStateOf(stream);
  const state = isOff ? DISCONNECTED : actual;
  const { renew } = own;
  return useMemo(
    () => ({
      state,
      isConnected: state.status === "open",
      disconnect: () => {
        setOff(true);
        if (isLone) stream?.close();
      },
      retryNow: () => {
        setOff(false);
        const now = stream?.getState();
        if (isLone && now?.status === "closed" && now.reason === "closed") renew();
        else stream?.retryNow();
      },
    }),
    [state, stream, isLone, renew],
  );
}

function reportStates(stream: NotificationStream, handlers: () => NotificationSSEHandlers): () => void {
  let reported: unknown = null; // the fault or the kind of connection that was reported last
  const report = () => {
    const state = stream.getState();
    const what = state.status === "reconnecting" ? state.error : state.status;
    if (what === reported) return;
    reported = what;
    if (state.status === "open" || state.status === "polling") handlers().onConnected?.(state);
    else if (state.status === "reconnecting") handlers().onError?.(state);
    else if (state.status === "closed" && state.reason !== "closed") handlers().onError?.(state);
  };
  report();
  return stream.subscribe(report);
}
