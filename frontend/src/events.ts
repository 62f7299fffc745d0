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
}

/** What each kind of event carries. */
export interface EventData {
  /** The stream begins; `unread_count` is the count at the event's own cursor. */
  connected: { user_id: string; status: "connected"; connection_id: string; unread_count: number };
  /** One was created: the unread count rises by one. */
  notification: Notification;
  /** Some were marked read, on any device; `unread_count` is the new count. */
  read: { ids: number[] | "all"; unread_count: number };
  /** Some were removed; `unread_count` is the new count. */
  deleted: { ids: number[]; unread_count: number };
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

/** Any event of a stream; `event` tells which. */
export type StreamEvent = { [Name in EventName]: EventOf<Name> }[EventName];

/** Every event's name, in the order of the contract. */
export const EVENT_NAMES: readonly EventName[] = [
  "connected",
  "notification",
  "read",
  "deleted",
  "heartbeat",
  "reset",
  "closing",
];
