import type { Preferences } from "./preferences/index.js";

/** A stored notification, as the service sends it. Times are UTC, RFC 3339. */
export interface Notification {
  id: number;
  user_id: string;
  /** What kind it is, in the producer's words, such as `interview.scheduled`. */
  type: string;
  title: string;
  message: string;
  /** Whatever the producer attached. */
  payload: Record<string, unknown>;
  is_read: boolean;
  read_at: string | null;
  created_at: string;
  expires_at: string | null;
  /** Where it leads: a path of the page's own origin, or an http(s) address. */
  url: string | null;
  /** A picture, as an address of the same kinds. */
  icon: string | null;
  /** Who it is about. */
  actor: Actor | null;
  /** Buttons that lead somewhere. */
  actions: { label: string; url: string; primary?: boolean }[];
  category: string | null;
  priority: "low" | "normal" | "high";
  /** The producer's name for its subject: a later notification with the same key replaces it. */
  key: string | null;
  /** Its place in the list, which begins with the highest. */
  position: number;
  /** Begins at 1, and rises by one at each change of content. */
  revision: number;
  /** How many were folded into it, and the latest three actors, newest first. */
  count: number;
  actors: Actor[];
  is_seen: boolean;
  archived_at: string | null;
  updated_at: string;
}

/** Who a notification is about. */
export interface Actor {
  name: string;
  image?: string | null;
}

/** The counts as of an event's own place in the log. */
export interface Counts {
  unread_count: number;
  unseen_count: number;
}

/**
 * The payloads by type. Declare yours, and `isOfType` knows them:
 *
 * `declare module "shirase" { interface Payloads { "interview.scheduled": { room: string } } }`
 */
// biome-ignore lint/suspicious/noEmptyInterface: hosts fill it
export interface Payloads {}

/** A notification of a type whose payload is declared. */
export type NotificationOf<Type extends keyof Payloads> = Omit<Notification, "type" | "payload"> & {
  type: Type;
  payload: Payloads[Type] & Record<string, unknown>;
};

/** Stands for all types whose payload is not declared, so that comparing with a declared type narrows the payload. */
export declare enum OtherType {
  Other = "",
}

/** A notification of a type whose payload is not declared. */
export type OtherNotification = Omit<Notification, "type"> & { type: OtherType };

/** Any notification: once its `type` was compared with a declared one, its `payload` is known. */
export type AnyNotification = [keyof Payloads] extends [never]
  ? Notification
  : { [Type in keyof Payloads]: NotificationOf<Type> }[keyof Payloads] | OtherNotification;

/** Whether a notification is of a type. Its payload is taken for what is declared, since producers are trusted so far. */
export function isOfType<Type extends keyof Payloads>(
  notification: Notification,
  type: Type,
): notification is NotificationOf<Type> {
  return notification.type === type;
}

/** What each kind of event carries. */
export interface EventData {
  /** The stream begins; `unread_count` is the count at the event's own cursor. */
  connected: { user_id: string; status: "connected"; connection_id: string } & Counts;
  /** A notification was created: the unread count rises by one. */
  notification: AnyNotification;
  /** One was replaced or folded: the whole of it, and the new counts. */
  updated: AnyNotification & Counts;
  /** Some were marked read, on any device. */
  read: { ids: number[] | "all"; read_at: string | null } & Counts;
  /** Some were marked unread again. */
  unread: { ids: number[] } & Counts;
  /** Some were archived. */
  archived: { ids: number[] | "all"; archived_at: string } & Counts;
  /** Some were brought back from the archive. */
  unarchived: { ids: number[] } & Counts;
  /** Everything up to here is seen. */
  seen: { unseen_count: number };
  /** The user changed what to get, on any device. */
  preferences: Preferences & Counts;
  /** Some were removed. */
  deleted: { ids: number[] } & Counts;
  /** Nothing happened, and the connection lives. */
  heartbeat: { type: "heartbeat" };
  /** Events were missed that are not kept any longer: fetch the list again. An inbox does it by itself. */
  reset: { reason: string };
  /** The service ends this connection. With `reconnect: false` the stream is closed and stays so. */
  closing: { reason: string; reconnect: boolean };
}

/** The name of an event. */
export type EventName = keyof EventData;

/** An event by its name. `id` is the cursor behind it; `null` for `heartbeat` and `closing`, which are not in the log. */
export type EventOf<Name extends EventName> = { event: Name; id: string | null; data: EventData[Name] };

/** Any event of a stream, discriminated by `event`. */
export type StreamEvent = { [Name in EventName]: EventOf<Name> }[EventName];

/** Every event's name, in the order of the contract. */
export const EVENT_NAMES =
  "connected notification updated read unread archived unarchived seen preferences deleted heartbeat reset closing".split(
    " ",
  ) as readonly EventName[];
