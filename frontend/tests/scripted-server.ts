import type { Counts, EventData, EventName, Notification } from "../src/events.js";
import { createScriptedInbox } from "./scripted-inbox.js";

type LogEntry = { id: string; event: EventName; data: unknown; counts: Counts };

/** One EventSource that the client has opened. */
export interface OpenStream {
  url: URL;
  withCredentials: boolean;
  closed: boolean;
  /** It was answered, and gets what happens. */
  begun: boolean;
  /** Dispatch an event as a browser does. */
  send<Name extends EventName>(event: Name, data: EventData[Name], id?: string): void;
  /** Dispatch something that is no event of the contract's. */
  sendRaw(event: string, data: string): void;
  /** The connection breaks: a browser would come back by itself. */
  break(): void;
}

/**
 * The service, for one user, without a network: a log, streams, long polls and REST, which follow the script.
 *
 * It answers every request in a microtask, so that fake timers alone decide what happens when.
 */
export function createScriptedServer() {
  const log: LogEntry[] = [];
  const inbox = createScriptedInbox(append);
  const streams: OpenStream[] = [];
  const asked: string[] = [];
  const waiting = new Set<() => void>();
  const usedTickets = new Set<string>();
  let seq = 0;
  let tickets = 0;

  const script = {
    /** Every stream that was opened, the newest last. */
    streams,
    /** Every request: `STREAM` or a method, and the path. */
    asked,
    /** What happens to a stream that is opened. `silent` is a middlebox that holds everything back. */
    onStream: "serve" as "serve" | "silent" | "break" | number,
    /** What happens to any other request. A number is the status of a refusal, `hang` never answers. */
    onRequest: "serve" as "serve" | "break" | "hang" | number,
    retryAfter: "",
    accepts: (_credential: string) => true,
    /** Cursors before this are not kept any longer. */
    keptFrom: 0,
    /** Milliseconds that the answer to a REST request takes. The request itself is carried out at once. */
    answerLag: () => 0,
    /** Milliseconds that an event of a stream takes. Events stay in order. */
    eventLag: () => 0,

    /** Where the log ends. */
    get head() {
      return seq;
    },
    get open() {
      return streams.filter((stream) => !stream.closed);
    },
    get latest(): OpenStream {
      const latest = streams.at(-1);
      if (!latest) throw new Error("no stream was opened");
      return latest;
    },
    count: (prefix: string) => asked.filter((line) => line.startsWith(prefix)).length,
  };
  const server = Object.defineProperties(script, Object.getOwnPropertyDescriptors(inbox)) as typeof script &
    typeof inbox;

  /** Bring back an older state of the database. */
  function restore(head: number): void {
    log.splice(head);
    seq = head;
  }

  function append(event: EventName, data: unknown): void {
    const entry = { id: `c-${++seq}`, event, data, counts: inbox.counts() };
    log.push(entry);
    for (const stream of server.open) {
      if (stream.begun) stream.send(entry.event, entry.data as never, entry.id);
    }
    for (const wake of [...waiting]) wake();
  }

  function after(cursor: string | null): LogEntry[] | "reset" {
    if (cursor === null) return [];
    const from = Number(/^c-(\d+)$/.exec(cursor)?.[1] ?? Number.NaN);
    return Number.isNaN(from) || from > seq || from < server.keptFrom ? "reset" : log.slice(from);
  }

  /** The counts at a cursor: those after the last event before what was missed. */
  function countsAt(missed: LogEntry[]): Counts {
    return log.at(-1 - missed.length)?.counts ?? { unread_count: 0, unseen_count: 0 };
  }

  /** What a replay sends for an event: a notification's newest revision, once, and nothing if it is gone. */
  function replayed({ event, data }: LogEntry): unknown {
    if (event !== "notification" && event !== "updated") return data;
    const present = inbox.notifications.get((data as Notification).id);
    if (event === "notification") return present && inbox.show(present);
    return present?.revision === (data as Notification).revision ? data : undefined;
  }

  function begin(stream: OpenStream): void {
    stream.begun = true;
    const missed = after(stream.url.searchParams.get("last_event_id"));
    const events = missed === "reset" ? [] : missed;
    const cursor = missed === "reset" ? "c-unusable" : `c-${seq - events.length}`;
    const connected = { user_id: server.userId, status: "connected", connection_id: `n-${streams.length}` } as const;
    stream.send("connected", { ...connected, ...countsAt(events) }, cursor);
    if (missed === "reset") stream.send("reset", { reason: "too old" }, `c-${seq}`);
    for (const entry of events) {
      const data = replayed(entry);
      if (data) stream.send(entry.event, data as never, entry.id);
    }
  }

  function refuses(credential: string | null): boolean {
    return credential !== null && !server.accepts(credential);
  }

  function refusesTicket(ticket: string | null): boolean {
    if (ticket === null) return false;
    const refused = usedTickets.has(ticket) || refuses(ticket);
    usedTickets.add(ticket);
    return refused;
  }

  class ScriptedEventSource extends EventTarget {
    readyState = 0;

    constructor(url: string, init?: EventSourceInit) {
      super();
      const source = this;
      const stream: OpenStream = {
        url: new URL(url, "http://page"),
        withCredentials: init?.withCredentials ?? false,
        begun: false,
        get closed() {
          return source.readyState === 2;
        },
        send: (event, data, id) => {
          const text = JSON.stringify(data);
          const arrive = () => {
            if (id !== undefined) source.lastEventId = id;
            stream.sendRaw(event, text);
          };
          const lag = server.eventLag();
          if (lag === 0 && source.pending === 0) return arrive();
          source.due = Math.max(source.due, Date.now() + lag);
          source.pending += 1;
          setTimeout(() => {
            source.pending -= 1;
            arrive();
          }, source.due - Date.now());
        },
        sendRaw: (event, data) => {
          if (source.readyState === 2) return;
          source.readyState = 1;
          source.dispatchEvent(Object.assign(new Event(event), { data, lastEventId: source.lastEventId }));
        },
        break: () => source.fail(0),
      };
      streams.push(stream);
      asked.push(`STREAM ${stream.url.pathname}${stream.url.search}`);
      queueMicrotask(() => source.answer(stream));
    }

    lastEventId = "";
    due = 0;
    pending = 0;

    private answer(stream: OpenStream): void {
      const { searchParams } = stream.url;
      const unauthorized = refuses(searchParams.get("token")) || refusesTicket(searchParams.get("ticket"));
      if (this.readyState === 2) return;
      if (server.onStream === "break") this.fail(0);
      else if (typeof server.onStream === "number" || unauthorized) this.fail(2);
      else if (server.onStream === "serve") begin(stream);
    }

    private fail(readyState: number): void {
      if (this.readyState === 2) return;
      this.readyState = readyState;
      this.dispatchEvent(new Event("error"));
    }

    close(): void {
      this.readyState = 2;
    }
  }

  async function fetch(address: string, init: RequestInit = {}): Promise<Response> {
    const url = new URL(address, "http://page");
    const method = init.method ?? "GET";
    asked.push(`${method} ${url.pathname}${url.search}`);
    await Promise.resolve();
    if (server.onRequest !== "serve") return fail(server.onRequest, init.signal);
    const authorization = (init.headers as Record<string, string> | undefined)?.["Authorization"];
    const token = authorization?.replace("Bearer ", "") ?? null;
    if (refuses(token) || refusesTicket(url.searchParams.get("ticket"))) return problem(401);
    if (url.pathname === "/api/notifications/poll") return poll(url.searchParams, init.signal);
    const answer = rest(method, url, init.body ? JSON.parse(String(init.body)) : {});
    const lag = server.answerLag();
    if (lag > 0) await new Promise((resolve) => setTimeout(resolve, lag));
    return answer;
  }

  function fail(how: "break" | "hang" | number, signal: AbortSignal | null | undefined): Promise<Response> {
    if (typeof how === "number") return Promise.resolve(problem(how));
    if (how === "break") return Promise.reject(new TypeError("Failed to fetch"));
    return new Promise((_, reject) => onAbort(signal, reject));
  }

  function rest(method: string, url: URL, body: Record<string, unknown>): Response {
    const ids = body["ids"] as number[];
    const changed = (updated: number) => json(200, { updated, unread_count: inbox.unread });
    switch (`${method} ${url.pathname}`) {
      case "GET /api/notifications":
        return json(200, inbox.page(url.searchParams));
      case "GET /api/notifications/unread-count":
        return json(200, { unread_count: inbox.unread });
      case "GET /api/notifications/counts":
        return json(200, { ...inbox.counts(), by_category: inbox.byCategory });
      case "POST /api/notifications/read":
        return changed(server.read(ids));
      case "POST /api/notifications/read-all":
        return changed(server.read("all"));
      case "POST /api/notifications/unread":
        return changed(inbox.markUnread(ids));
      case "POST /api/notifications/archive":
        return changed(inbox.archive(ids));
      case "POST /api/notifications/archive-all":
        return changed(inbox.archive("all"));
      case "POST /api/notifications/unarchive":
        return changed(inbox.unarchive(ids));
      case "POST /api/notifications/seen":
        inbox.see();
        return json(200, { unseen_count: 0 });
      case "POST /api/sse/tickets":
        return json(201, { ticket: `ticket-${++tickets}`, expires_in: 60 });
      default: {
        const id = /^\/api\/notifications\/(\d+)$/.exec(url.pathname)?.[1];
        if (method !== "DELETE" || !id) return problem(404);
        return inbox.remove(Number(id)) ? new Response(null, { status: 204 }) : problem(404);
      }
    }
  }

  function poll(query: URLSearchParams, signal: AbortSignal | null | undefined): Promise<Response> {
    const cursor = query.get("after") ?? `c-${seq}`;
    return new Promise((resolve, reject) => {
      onAbort(signal, reject);
      const timer = setTimeout(() => answer(true), Number(query.get("timeout") ?? 25) * 1000);
      const answer = (late: boolean) => {
        const missed = after(cursor);
        const reset = [{ id: `c-${seq}`, event: "reset", data: { reason: "too old" } }];
        const events =
          missed === "reset"
            ? reset
            : missed.flatMap((entry) => {
                const data = replayed(entry);
                return data ? { id: entry.id, event: entry.event, data } : [];
              });
        if (missed.length === 0 && !late) return;
        waiting.delete(wake);
        clearTimeout(timer);
        resolve(json(200, { events, cursor: `c-${seq}` }));
      };
      const wake = () => answer(false);
      waiting.add(wake);
      wake();
    });
  }

  function problem(status: number): Response {
    const headers = { "Retry-After": server.retryAfter, "Content-Type": "application/problem+json" };
    return new Response(JSON.stringify({ title: "Refused", status, detail: "it is refused" }), { status, headers });
  }

  return Object.assign(server, { restore, EventSource: ScriptedEventSource as unknown as typeof EventSource, fetch });
}

/** The service that a test talks to. */
export type ScriptedServer = ReturnType<typeof createScriptedServer>;

function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
}

function onAbort(signal: AbortSignal | null | undefined, reject: (reason: unknown) => void): void {
  signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
}
