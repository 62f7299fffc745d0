import type { StreamEvent } from "../src/events.js";
import { createNotificationStream } from "../src/index.js";
import type { StreamOptions } from "../src/options.js";
import type { StreamState } from "../src/state.js";
import type { ScriptedServer } from "./scripted-server.js";

/** One tab: a page that can be hidden, frozen and left, and the streams in it. */
export function createTab(server: ScriptedServer) {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" as DocumentVisibilityState });

  function open(options: Partial<StreamOptions> = {}) {
    const stream = createNotificationStream({
      getToken: () => "a.test.token",
      ...options,
      environment: {
        EventSource: server.EventSource,
        fetch: server.fetch,
        random: () => 0.5,
        window,
        document,
        locks: undefined,
        BroadcastChannel: undefined,
        ...options.environment,
      },
    });
    const received: StreamEvent[] = [];
    const states: StreamState[] = [stream.getState()];
    stream.listen((event) => received.push(event));
    stream.subscribe(() => states.push(stream.getState()));
    return Object.assign(stream, {
      received,
      states,
      /** What the events were, in a word each. */
      names: () => received.map(({ event }) => event),
      titles: () => received.flatMap((event) => (event.event === "notification" ? [event.data.title] : [])),
    });
  }

  function show(visibilityState: DocumentVisibilityState): void {
    document.visibilityState = visibilityState;
    document.dispatchEvent(new Event("visibilitychange"));
  }

  return {
    open,
    show,
    goOffline: () => window.dispatchEvent(new Event("offline")),
    goOnline: () => window.dispatchEvent(new Event("online")),
    leave: () => window.dispatchEvent(new Event("pagehide")),
    comeBack: () => window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true })),
    freeze: () => document.dispatchEvent(new Event("freeze")),
    thaw: () => document.dispatchEvent(new Event("resume")),
  };
}
