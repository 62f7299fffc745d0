import { readApiError, statusOf } from "./api-error.js";
import { type Environment, pageFetch } from "./environment.js";
import type { StreamEvent } from "./events.js";
import type { Credentials, GetCredential } from "./options.js";
import { readToken } from "./token.js";

const STREAM = "/api/sse/notifications";
const POLL = "/api/notifications/poll";
const COUNT = "/api/notifications/unread-count";
const TICKETS = "/api/sse/tickets";
const LONGEST = 3_000; // characters of a token in an address: the proxy drops a request whose first line is over 4 KB

/** What a long poll answers. */
export interface PollAnswer {
  events: StreamEvent[];
  cursor: string;
}

/** Asks the service, as the user whose credentials it has. */
export interface Caller {
  /** The address that opens a stream behind `cursor`, with a credential in it. */
  streamAddress(cursor: string | null, refresh: boolean): Promise<string>;
  /** One long poll; without a cursor a short one, which returns the log's present cursor. */
  poll(cursor: string | null, timeout: number, refresh: boolean, signal: AbortSignal): Promise<PollAnswer>;
  /** Check that the service answers and accepts the credential, which a failed EventSource does not report. */
  ask(signal: AbortSignal): Promise<unknown>;
  /** A ticket for a token. */
  exchange(): Promise<string>;
  /** See `NotificationStream.request`. */
  request(method: string, path: string, body?: unknown): Promise<unknown>;
}

/** A caller of the service at `url`, the page's own origin if it is empty. */
export function createCaller(
  url: string,
  { getToken, getTicket, cookies }: Credentials,
  fetch: Environment["fetch"],
): Caller {
  const base = url.replace(/\/+$/, "");
  let last: string | undefined; // the newest token

  async function token(refresh = false): Promise<string | undefined> {
    if (getToken) last = await readToken(getToken, { refresh });
    return last;
  }

  async function ticket(refresh: boolean): Promise<string | undefined> {
    return (await getTicket?.({ refresh }))?.trim();
  }

  async function streamAddress(cursor: string | null, refresh: boolean): Promise<string> {
    const value = getTicket ? undefined : await token(refresh);
    const isLong = value && value.length > LONGEST;
    return withQuery(base + STREAM, {
      ticket: isLong ? await exchange() : await ticket(refresh),
      token: isLong ? null : value,
      last_event_id: cursor,
    });
  }

  async function poll(after: string | null, timeout: number, refresh: boolean, signal: AbortSignal) {
    const seconds = after === null ? 1 : Math.max(1, Math.ceil(timeout / 1000));
    const path = withQuery(POLL, { timeout: seconds, ticket: await ticket(refresh), after });
    return (await send("GET", path, getTicket ? undefined : await token(refresh), { signal })) as PollAnswer;
  }

  async function ask(signal: AbortSignal): Promise<unknown> {
    // A ticket opens streams and long polls alone, so that is what there is to ask.
    return getTicket ? poll(null, 0, false, signal) : send("GET", COUNT, await token(), { signal });
  }

  async function request(method: string, path: string, body?: unknown): Promise<unknown> {
    // A deletion may be the last thing that a page does: it neither waits for a token nor ends with the page.
    const init: RequestInit = {};
    if (method === "GET") path = withQuery(path, (body ?? {}) as Query);
    else init.body = JSON.stringify(body);
    if (method === "DELETE") init.keepalive = true;
    try {
      return await send(method, path, (init.keepalive && last) || (await token()), init);
    } catch (error) {
      if (!getToken || statusOf(error) !== 401) throw error;
      return send(method, path, await token(true), init);
    }
  }

  async function exchange(): Promise<string> {
    return ((await request("POST", TICKETS)) as { ticket: string }).ticket;
  }

  async function send(method: string, path: string, bearer: string | undefined, init: RequestInit): Promise<unknown> {
    const headers: Record<string, string> = {};
    if (bearer) headers["Authorization"] = `Bearer ${bearer}`;
    if (init.body) headers["Content-Type"] = "application/json";
    const response = await fetch(base + path, {
      ...init,
      method,
      headers,
      credentials: cookies ? "include" : "same-origin",
    });
    if (!response.ok) throw await readApiError(response);
    return response.status === 204 ? undefined : response.json();
  }

  return { streamAddress, poll, ask, request, exchange };
}

/**
 * A `getTicket` that exchanges a token for a ticket at each connection, so that no address carries anything that is
 * worth stealing.
 */
export function ticketsFrom(options: {
  /** Where the service is, as in `StreamOptions`. */
  url?: string | undefined;
  getToken: GetCredential;
  environment?: Pick<Environment, "fetch"> | undefined;
}): GetCredential {
  const { url = "", getToken, environment } = options;
  return async ({ refresh }) => {
    const asking: GetCredential = (asked) => getToken({ refresh: refresh || asked.refresh });
    return createCaller(url, { getToken: asking }, environment?.fetch ?? pageFetch).exchange();
  };
}

type Query = Record<string, string | number | null | undefined>;

function withQuery(path: string, query: Query): string {
  const parameters = Object.entries(query).filter(([, value]) => value);
  return parameters.length ? `${path}?${new URLSearchParams(parameters as string[][])}` : path;
}
