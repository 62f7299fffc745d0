import { readApiError, statusOf } from "./api-error.js";
import { completeEnvironment, type Environment } from "./environment.js";
import type { StreamEvent } from "./events.js";
import type { Credentials, GetCredential } from "./options.js";

const STREAM = "/api/sse/notifications";
const POLL = "/api/notifications/poll";
const COUNT = "/api/notifications/unread-count";
const TICKETS = "/api/sse/tickets";

/** What a long poll answers. */
export interface PollAnswer {
  events: StreamEvent[];
  cursor: string;
}

/** Asks the service, as the user whose credentials it has. */
export interface Caller {
  /** The address that opens a stream behind `cursor`, with a credential in it. */
  streamAddress(cursor: string | null, refresh: boolean): Promise<string>;
  /** One long poll; without a cursor a short one, which tells where the log stands. */
  poll(cursor: string | null, timeout: number, refresh: boolean, signal: AbortSignal): Promise<PollAnswer>;
  /** Whether the service answers and accepts the credential: what an EventSource that failed does not tell. */
  ask(signal: AbortSignal): Promise<unknown>;
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

  async function streamAddress(cursor: string | null, refresh: boolean): Promise<string> {
    const query = new URLSearchParams();
    if (getTicket) query.set("ticket", await getTicket({ refresh }));
    else if (getToken) query.set("token", await getToken({ refresh }));
    if (cursor !== null) query.set("last_event_id", cursor);
    return `${base}${STREAM}${asSuffix(query)}`;
  }

  async function poll(cursor: string | null, timeout: number, refresh: boolean, signal: AbortSignal) {
    const query = new URLSearchParams({
      timeout: String(cursor === null ? 1 : Math.max(1, Math.ceil(timeout / 1000))),
    });
    if (getTicket) query.set("ticket", await getTicket({ refresh }));
    if (cursor !== null) query.set("after", cursor);
    const token = getTicket ? undefined : await getToken?.({ refresh });
    return (await send("GET", `${POLL}${asSuffix(query)}`, token, { signal })) as PollAnswer;
  }

  async function ask(signal: AbortSignal): Promise<unknown> {
    // A ticket opens streams and long polls alone, so that is what there is to ask.
    if (getTicket) return poll(null, 0, false, signal);
    return send("GET", COUNT, await getToken?.({ refresh: false }), { signal });
  }

  async function request(method: string, path: string, body?: unknown): Promise<unknown> {
    const token = await getToken?.({ refresh: false });
    const init = body === undefined ? {} : { body: JSON.stringify(body) };
    try {
      return await send(method, path, token, init);
    } catch (error) {
      if (!getToken || statusOf(error) !== 401) throw error;
      return send(method, path, await getToken({ refresh: true }), init);
    }
  }

  async function send(method: string, path: string, token: string | undefined, init: RequestInit): Promise<unknown> {
    const headers: Record<string, string> = {};
    if (token !== undefined) headers["Authorization"] = `Bearer ${token}`;
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

  return { streamAddress, poll, ask, request };
}

/**
 * A `getTicket` that exchanges a token for a ticket at each connection, so that no address carries anything that is
 * worth stealing.
 */
export function ticketsFrom(options: {
  /** Where the service is, as in `StreamOptions`. */
  url?: string;
  getToken: GetCredential;
  environment?: Pick<Environment, "fetch">;
}): GetCredential {
  const { url = "", getToken, environment } = options;
  const { fetch } = completeEnvironment(environment && { fetch: environment.fetch });
  return async ({ refresh }) => {
    const caller = createCaller(url, { getToken: (asked) => getToken({ refresh: refresh || asked.refresh }) }, fetch);
    const { ticket } = (await caller.request("POST", TICKETS)) as { ticket: string };
    return ticket;
  };
}

function asSuffix(query: URLSearchParams): string {
  const text = query.toString();
  return text && `?${text}`;
}
