import type { Environment } from "./environment.js";

/** The argument of a function that gets a credential. */
export interface CredentialRequest {
  /** The last credential was refused: do not return it again from a cache. */
  refresh: boolean;
}

/** Returns a token or a ticket. Throw an error with `status: 401` to report that the user is signed out. */
export type GetCredential = (request: CredentialRequest) => string | Promise<string>;

/**
 * Who is calling: a token, a ticket or the browser's cookies.
 *
 * - `getToken` returns a JWT. It goes into the `Authorization` header of REST requests and, unless there is
 *   `getTicket` too, into the address of the stream.
 * - `getTicket` returns a ticket, which opens one stream once and is worth nothing afterwards; one is requested at each
 *   connection. `ticketsFrom(…)` makes one of a `getToken`. An inbox needs `getToken` or `cookies` beside it.
 * - `cookies` sends the browser's cookies, also to another origin (which must allow it, see `CORS_ORIGINS`).
 */
export interface Credentials {
  getToken?: GetCredential | undefined;
  getTicket?: GetCredential | undefined;
  cookies?: boolean | undefined;
}

/** What `createNotificationStream` takes. Durations are in milliseconds. */
export interface StreamOptions extends Credentials {
  /** Where the service is, without `/api`: `https://push.example.com`. The page's own origin by default. */
  url?: string | undefined;
  /** The user's id. Tabs share a connection only if it is set, and another user's stream is refused. */
  user?: string | number | undefined;
  /** Whether tabs of one `user` share one connection, where the browser can (Web Locks, BroadcastChannel). `true`. */
  shareTabs?: boolean | undefined;
  /** Whether to connect at once; otherwise `connect()` does it. `true`. */
  autoConnect?: boolean | undefined;
  /** Where to begin: events after this cursor. At the present by default. */
  cursor?: string | undefined;
  /** Whether to come back after a loss. `true`. */
  reconnect?: boolean | undefined;
  /** The service's `SSE_KEEPALIVE_TIMEOUT`: two of them in silence, and a connection counts as dead. 30,000. */
  heartbeat?: number | undefined;
  /** How long a connection may take until `connected` arrives. 10,000. */
  connectTimeout?: number | undefined;
  /** The bound of the first random wait between two attempts; it doubles with each failure. 1,000. */
  minDelay?: number | undefined;
  /** The bound of the longest. 30,000. */
  maxDelay?: number | undefined;
  /** After how many failures in a row to change to the long poll, if the service itself answers; 0: never. 3. */
  pollAfter?: number | undefined;
  /** How long one long poll waits for events, 60,000 at most. 25,000. */
  pollTimeout?: number | undefined;
  /** How long to stay with the long poll before a stream is tried again; doubles up to ten times as long. 60,000. */
  streamRetry?: number | undefined;
  /** What the client uses of the browser, part by part: for tests, and for runtimes that lack something. */
  environment?: Partial<Environment> | undefined;
}

/** Options that are all there. For the caller's sake, an option that is `undefined` counts as left out. */
export type Complete<Options> = { [Name in keyof Options]-?: Exclude<Options[Name], undefined> };

/** The options with every default in its place. */
export type Settings = Complete<
  Pick<
    StreamOptions,
    | "url"
    | "cookies"
    | "shareTabs"
    | "autoConnect"
    | "reconnect"
    | "heartbeat"
    | "connectTimeout"
    | "minDelay"
    | "maxDelay"
    | "pollAfter"
    | "pollTimeout"
    | "streamRetry"
  >
> & { user: string | undefined; silence: number };

const GRACE = 1_000; // how much later than due a heartbeat may come

const DEFAULTS = {
  url: "",
  cookies: false,
  shareTabs: true,
  autoConnect: true,
  reconnect: true,
  heartbeat: 30_000,
  connectTimeout: 10_000,
  minDelay: 1_000,
  maxDelay: 30_000,
  pollAfter: 3,
  pollTimeout: 25_000,
  streamRetry: 60_000,
} satisfies Omit<Settings, "silence" | "user">;

const LONGEST = 1e9; // setTimeout takes what is not a number, or too large a one, for 0: the wait would become a flood
const LONGEST_POLL = 60_000; // the service's own limit

/**
 * Put the defaults in.
 *
 * @throws TypeError naming the option that is wrong.
 */
export function completeOptions(options: StreamOptions): Settings {
  if (!options.getToken && !options.getTicket && !options.cookies)
    fail("one of getToken, getTicket and cookies is needed");
  const settings: Record<string, unknown> = { user: userId(options.user) };
  for (const [name, standard] of Object.entries(DEFAULTS)) {
    const value = options[name as keyof typeof DEFAULTS] ?? standard;
    const longest = name === "pollTimeout" ? LONGEST_POLL : LONGEST;
    if (typeof standard === "number" && !(typeof value === "number" && value >= 0 && value <= longest))
      fail(`${name} must be a number from 0 to ${longest}`);
    settings[name] = value;
  }
  try {
    new URL(settings["url"] as string, "http://page");
  } catch {
    fail("url must be an address");
  }
  settings["silence"] = 2 * (settings["heartbeat"] as number) + GRACE;
  return settings as unknown as Settings;
}

/**
 * A user's id as text: an integer counts as its decimal text, as it does at the service.
 *
 * @throws TypeError if it is a number that is no integer.
 */
export function userId(user: string | number | undefined): string | undefined {
  if (typeof user === "number" && !Number.isSafeInteger(user)) fail("user must be text or an integer");
  return user === undefined ? undefined : String(user);
}

/** @throws TypeError: an option is wrong. */
export function fail(what: string): never {
  throw new TypeError(`shirase: ${what}`);
}
