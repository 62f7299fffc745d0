"use client";
import { createContext, useContext } from "react";
import type { Labels } from "../display/index.js";
import type { Inbox, InboxSnapshot } from "../inbox/index.js";
import type { NotificationStream } from "../types.js";
import type { Navigate } from "./navigate.js";
import type { NotificationParts } from "./parts.js";

/** One user's stream, and the inbox over it. */
export interface Client {
  readonly stream: NotificationStream;
  readonly inbox: Inbox;
}

/** What `NotificationsProvider` gives to everything below it. */
export interface Provided {
  /** `null` on the server, before the first effect, and while nobody is signed in. */
  readonly client: Client | null;
  /** What is shown while there is no client: what a server fetched. */
  readonly first: InboxSnapshot | undefined;
  /** Follows links within the page's origin. */
  readonly navigate: Navigate | undefined;
  /** Whether there is no user. */
  readonly isSignedOut: boolean;
  /** Signs the user in and reopens the stream; `undefined` if the page has no `onSignIn`. */
  readonly signIn: (() => void) | undefined;
  readonly labels: Labels;
  readonly locale: string | undefined;
  /** What the components are made of. */
  readonly parts: NotificationParts;
}

export const NotificationsContext = createContext<Provided | null>(null);

/** What the provider above gives. */
export function useProvided(): Provided {
  const provided = useContext(NotificationsContext);
  if (!provided) throw new Error("this needs a <NotificationsProvider> above it");
  return provided;
}

/** Closes the panel around the list, if there is one: a notification was chosen. */
export const CloseContext = createContext<() => void>(() => {});
