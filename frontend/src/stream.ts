import { createCaller } from "./caller.js";
import { createConnection } from "./connection.js";
import { completeEnvironment } from "./environment.js";
import type { StreamEvent } from "./events.js";
import { createHistory } from "./history.js";
import { createListeners } from "./listeners.js";
import { completeOptions, type StreamOptions } from "./options.js";
import { watchPage } from "./page.js";
import type { StreamState } from "./state.js";
import { createTabs } from "./tabs.js";
import type { NotificationStream } from "./types.js";

const PROTOCOL = 1; // of the messages between tabs: pages of two versions of the client do not talk to each other

/**
 * Open a user's stream: it connects, resumes after every loss behind the last event that it received, and delivers each
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
  const history = createHistory(options.cursor);
  const events = createListeners<StreamEvent>();
  const changes = createListeners<void>();
  let state: StreamState = { status: "idle" };
  let unwatch: (() => void) | null = null;

  const host = Object.assign(history, { receive, show, getState: () => state });
  const connection = createConnection(settings, environment, caller, host);
  const name = `shirase/${PROTOCOL} ${JSON.stringify([settings.url, settings.user])}`;
  const tabs =
    settings.shareTabs && settings.user !== undefined
      ? createTabs(environment, name, settings.silence, connection, host)
      : null;
  const link = tabs ?? connection;

  function connect(): void {
    if (state.status !== "idle" || !(environment.window || environment.EventSource)) return;
    unwatch = watchPage(environment, {
      wake: link.wake,
      suspend: link.stop,
      resume: () => link.start(true),
    });
    link.start();
  }

  function receive(event: StreamEvent): void {
    if (!history.take(event)) return;
    tabs?.passOn(event);
    events.emit(event);
  }

  function show(next: StreamState): void {
    state = Object.freeze(next);
    tabs?.passOnState(next);
    changes.emit();
  }

  function close(): void {
    unwatch?.();
    link.stop();
    if ((state as { reason?: string }).reason !== "closed") show({ status: "closed", reason: "closed" });
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
      return history.cursor;
    },
    get counts() {
      return history.counts;
    },
    connect,
    retryNow: () => link.wake("asked"),
    request: caller.request,
    close,
  };
}
