"use client";
import { useEffect, useRef, useState } from "react";
import { createNotificationStream, type StreamOptions } from "../index.js";
import type { NotificationStream } from "../types.js";
import { type ClientOptions, identify, streamOptions } from "./use-client.js";

/** What the stream of a component without a provider is made of. Without a credential it uses the browser's cookies. */
export interface LoneStreamOptions extends Omit<StreamOptions, "user" | "reconnect" | "autoConnect"> {
  /** The user's id; `null` while nobody is signed in: nothing is opened then. */
  user?: string | number | null | undefined;
  /** Whether to come back after a loss. `true`. */
  autoReconnect?: boolean | undefined;
}

/** A stream for one component. */
export interface LoneStream {
  /** It is not connected yet: who listens to it does that. `null` on the server, and before the first effect. */
  readonly stream: NotificationStream | null;
  /** Make another one behind the last event of one that was closed for good. */
  renew(): void;
}

/** A stream for as long as the component lives, and another one when the options change; none without options. */
export function useLoneStream(options: LoneStreamOptions | null): LoneStream {
  const client = options && toClientOptions(options);
  const latest = useRef(client);
  useEffect(() => {
    latest.current = client;
  });
  const identity = client && client.user !== null ? identify(client) : null;
  const [turn, setTurn] = useState(0);
  const [made, setMade] = useState<{ identity: string; stream: NotificationStream } | null>(null);
  const left = useRef({ identity: "", cursor: null as string | null });
  useEffect(() => {
    if (identity === null) return;
    const cursor = turn > 0 && left.current.identity === identity ? left.current.cursor : null;
    const made = createNotificationStream({
      ...streamOptions(latest as { current: ClientOptions }),
      ...(cursor !== null && { cursor }),
      autoConnect: false,
    });
    setMade({ identity, stream: made });
    return () => {
      left.current = { identity, cursor: made.cursor };
      made.close();
    };
  }, [identity, turn]);
  const [renew] = useState(() => () => setTurn((before) => before + 1));
  return { stream: made !== null && made.identity === identity ? made.stream : null, renew };
}

function toClientOptions({ autoReconnect = true, ...options }: LoneStreamOptions): ClientOptions {
  const isNamed = options.getToken || options.getTicket || options.cookies !== undefined;
  return { ...options, reconnect: autoReconnect, ...(!isNamed && { cookies: true }) };
}
