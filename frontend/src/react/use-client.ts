"use client";
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { createInbox, type InboxOptions } from "../inbox/index.js";
import { createNotificationStream, type GetCredential, type StreamOptions } from "../index.js";
import type { Client } from "./context.js";
import { type InitialInbox, pageOf } from "./initial.js";

/** What a client is made of. `user: null` means that nobody is signed in: nothing is opened then. */
export type ClientOptions = Omit<StreamOptions, "user"> &
  Omit<InboxOptions, "initial"> & {
    user?: string | number | null | undefined;
    /** The newest page, fetched by a server: the first render shows it, and the stream goes on behind its `cursor`. */
    initial?: InitialInbox | undefined;
  };

// On the server there is no layout, and React 18 warns about the hook.
const useBeforeEffects = typeof window === "undefined" ? useEffect : useLayoutEffect;

/**
 * A stream and an inbox for as long as the component lives, and new ones when the options change.
 *
 * Functions may change at each render: the latest is called, and nothing is reopened.
 *
 * @returns `null` until the first effect. Never a client made for other options: what one user has is not shown to
 * the next, not for a single frame.
 */
export function useClient(options: ClientOptions, initial: InitialInbox | undefined): Client | null {
  const latest = useRef(options);
  useBeforeEffects(() => {
    latest.current = options;
  });
  const identity = options.user === null ? null : identify(options);
  const [made, setMade] = useState<{ identity: string; client: Client } | null>(null);
  useEffect(() => {
    if (identity === null) return;
    const { pageSize } = latest.current;
    const stream = createNotificationStream({ ...streamOptions(latest), ...(initial && { cursor: initial.cursor }) });
    const inbox = createInbox(stream, {
      ...(pageSize !== undefined && { pageSize }),
      ...(initial && { initial: pageOf(initial, pageSize) }),
    });
    setMade({ identity, client: { stream, inbox } });
    return () => {
      inbox.close();
      stream.close();
    };
  }, [identity, initial]);
  return made !== null && made.identity === identity ? made.client : null;
}

/** Equal for options that make the same client: a user's id may be text or an integer. */
export function identify(options: ClientOptions): string {
  const comparable = options.user == null ? options : { ...options, user: String(options.user) };
  const plain = Object.entries(comparable).filter(([, value]) => value !== undefined && !isPart(value));
  const functions = [options.getToken, options.getTicket].map((credential) => credential !== undefined);
  return JSON.stringify([plain.sort(), functions]);
}

/** Functions and the environment: not what a client is known by. */
function isPart(value: unknown): boolean {
  return typeof value === "function" || typeof value === "object";
}

/** What a stream is made of. Its functions call the latest ones. */
export function streamOptions(latest: { readonly current: ClientOptions }): StreamOptions {
  const { user, pageSize: _, initial: _initial, getToken, getTicket, ...rest } = latest.current;
  const options: StreamOptions = rest;
  if (user != null) options.user = user;
  if (getToken) options.getToken = (asked) => (latest.current.getToken ?? refuse)(asked);
  if (getTicket) options.getTicket = (asked) => (latest.current.getTicket ?? refuse)(asked);
  return options;
}

const refuse: GetCredential = () => {
  throw new Error("the function that gets the credential is gone");
};
