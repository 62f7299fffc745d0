/** Why the connection was lost, or could not be made. */
export type StreamError =
  /** The network or the service does not answer. */
  | { kind: "network" }
  /** The browser has no network, and tries again when it has one. */
  | { kind: "offline" }
  /** The connection was open and silent for longer than two heartbeats. */
  | { kind: "silent" }
  /** The service answered with an error other than "who are you?", such as 429 or 503. */
  | { kind: "refused"; status: number }
  /** `getToken` or `getTicket` failed; `cause` is what it threw. */
  | { kind: "credentials"; cause: unknown }
  /** The service ended this connection and asks to come back: a token expired, for example. */
  | { kind: "ending"; reason: string }
  /** The browser had put the page to sleep: frozen, or kept for "back". */
  | { kind: "suspended" };

/** Why a stream is closed, and that nothing will reopen it but `retryNow()`. */
export type ClosedReason =
  /** `close()` was called. This one is final. */
  | "closed"
  /** The service ended it for good; `detail` is its reason, such as `connection-limit`. */
  | "ended"
  /** The service does not accept the token, the ticket or the cookie, also not a fresh one: sign in again. */
  | "unauthorized"
  /** The credentials are those of another user than `user`. */
  | "wrong-user"
  /** The connection was lost, and `reconnect` is `false`. */
  | "lost";

/** Where a stream stands. Each state is a new object, so that it can be compared by identity. */
export type StreamState =
  /** Not started: `connect()` was not called yet, or this is not a browser. */
  | { status: "idle" }
  /** The first connection is being made. */
  | { status: "connecting" }
  /** Events arrive as they happen. `shared`: they come through another tab. */
  | { status: "open"; shared: boolean }
  /** The connection was lost. `attempt` counts the failures in a row; `retryAt` is when the next attempt begins, in
   * milliseconds since the epoch, or `null` during an attempt and while the browser is offline. */
  | { status: "reconnecting"; attempt: number; retryAt: number | null; error: StreamError }
  /** Streams fail here, so events come by long poll. A stream is tried again from time to time. */
  | { status: "polling"; shared: boolean }
  /** Closed. */
  | { status: "closed"; reason: ClosedReason; detail?: string };
