import { createCaller } from "./caller.js";
import { createConnection } from "./connection.js";
import { completeEnvironment } from "./environment.js";
import type { StreamEvent } from "./events.js";
import { createListeners } from "./listeners.js";
import { completeOptions, type StreamOptions } from "./options.js";
import { watchPage } from "./page.js";
import type { StreamState } from "./state.js";
import type { NotificationStream } from "./types.js";

const REMEMBERED = 1_000; // cursors of the latest events, to know a repeat by

/**
 * Open a user's stream: it connects, comes back after every loss behind the last event that it had, and tells each
 * event once and in order, until `close()`.
 *
 * Where there is no browser (when a page is rendered on a server) it stays `idle`.
 *
 * @throws TypeError naming an option that is wrong.
 */
export function createNotificationStream(options: StreamOptions): NotificationStream {
  const settings = completeOptions(options);
  const environment = completeEnvironment(options.environment);
  const caller = createCaller(settings.url, options, environment.fetch);
  const events = createListeners<StreamEvent>();
  const changes = createListeners<void>();
  const seen = new Set<string>();
  let state: StreamState = { status: "idle" };
  let cursor = options.cursor ?? null;
  let unwatch: (() => void) | null = null;

  const connection = createConnection(settings, environment, caller, {
    cursor: () => cursor,
    receive,
    moveTo,
    show,
  });

  function connect(): void {
    if (state.status !== "idle" || !(environment.window || environment.EventSource)) return;
    unwatch = watchPage(environment, {
      wake: connection.wake,
      suspend: connection.stop,
      resume: connection.start,
    });
    connection.start();
  }

  function receive(event: StreamEvent): void {
    if (event.id !== null) {
      // `connected` begins at a cursor and is not itself what happened there.
      if (event.event !== "connected" && seen.has(event.id)) return;
      moveTo(event.id);
    }
    events.tell(event);
  }

  function moveTo(reached: string): void {
    cursor = reached;
    seen.delete(reached);
    seen.add(reached);
    for (const oldest of seen) {
      if (seen.size <= REMEMBERED) break;
      seen.delete(oldest);
    }
  }

  function show(next: StreamState): void {
    state = Object.freeze(next);
    changes.tell();
  }

  function close(): void {
    unwatch?.();
    unwatch = null;
    connection.stop();
    if (!isClosed()) show({ status: "closed", reason: "closed" });
  }

  function isClosed(): boolean {
    return state.status === "closed" && state.reason === "closed";
  }

  if (settings.autoConnect) connect();

  return {
    getState: () => state,
    subscribe: changes.add,
    listen: events.add,
    on: (name, listener) =>
      events.add((event) => {
        // The name decides the type of the data, which TypeScript cannot follow through a type parameter.
        if (event.event === name) listener(event.data as never, event as never);
      }),
    get cursor() {
      return cursor;
    },
    connect,
    retryNow: () => connection.wake("asked"),
    request: caller.request,
    close,
  };
}
