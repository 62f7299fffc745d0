"use client";
import { createContext, useContext } from "react";
import type { Inbox } from "../inbox/index.js";
import type { NotificationStream } from "../types.js";
import type { Labels } from "./labels.js";

/** One user's stream, and the inbox over it. */
export interface Client {
  readonly stream: NotificationStream;
  readonly inbox: Inbox;
}

/** What `NotificationsProvider` gives to everything below it. */
export interface Provided {
  /** `null` on the server, before the first effect, and while nobody is signed in. */
  readonly client: Client | null;
  readonly labels: Labels;
  readonly locale: string | undefined;
}

export const NotificationsContext = createContext<Provided | null>(null);

/** What the provider above gives. */
export function useProvided(): Provided {
  const provided = useContext(NotificationsContext);
  if (!provided) throw new Error("this needs a <NotificationsProvider> above it");
  return provided;
}
