import type { Environment } from "../environment.js";
import type { EventData } from "../events.js";
import type { Entry, LoggedInbox } from "./fake-inbox.js";

/** What the streams need of the service around them. */
interface Host {
  /** A stream was requested. */
  note(path: string): void;
  /** Why it fails, if it does. */
  fails(): "network" | "refused" | null;
}

/** The streams and long polls of a fake service. */
export function createFakeStreams(user: string, inbox: LoggedInbox, host: Host) {
  const open = new Set<FakeEventSource>();
  let connections = 0;

  class FakeEventSource extends EventTarget {
    readyState = 0;
    #cursor = inbox.cursor;
    #unfollow = () => {};

    constructor(address: string) {
      super();
      const url = new URL(address, "http://fake.invalid");
      host.note(url.pathname + url.search);
      Promise.resolve().then(() => this.#begin(url.searchParams.get("last_event_id")));
    }

    close(): void {
      this.readyState = 2;
      open.delete(this);
      this.#unfollow();
    }

    /** As a browser does it: 2 after a status other than 200, otherwise it would come back by itself. */
    fail(readyState: 0 | 2): void {
      this.close();
      this.readyState = readyState;
      this.dispatchEvent(new Event("error"));
    }

    send({ event, id, data }: Entry): void {
      if (this.readyState !== 1) return;
      this.#cursor = id;
      this.dispatchEvent(Object.assign(new Event(event), { data: JSON.stringify(data), lastEventId: id }));
    }

    end(data: EventData["closing"]): void {
      this.send({ event: "closing", id: this.#cursor, data });
    }

    #begin(cursor: string | null): void {
      if (this.readyState === 2) return;
      const fails = host.fails();
      if (fails) return this.fail(fails === "refused" ? 2 : 0);
      this.readyState = 1;
      open.add(this);
      this.#greet(cursor ?? inbox.cursor);
      this.#cursor = inbox.cursor;
      this.#unfollow = inbox.follow(() => this.#follow());
    }

    #greet(cursor: string): void {
      const missed = inbox.after(cursor);
      const connection_id = `fake-${++connections}`;
      const connected = { user_id: user, status: "connected", connection_id, ...inbox.counts(cursor) };
      this.send({ event: "connected", id: missed ? cursor : "fake-reset", data: connected });
      if (!missed) this.send({ event: "reset", id: inbox.cursor, data: { reason: "unknown cursor" } });
      for (const entry of missed ?? []) this.send(entry);
    }

    #follow(): void {
      // Later, as over a network: never within the call of a test that makes it happen.
      Promise.resolve().then(() => {
        for (const entry of inbox.after(this.#cursor) ?? []) this.send(entry);
      });
    }
  }

  function poll(query: URLSearchParams, signal: AbortSignal | null | undefined): Promise<unknown> {
    const after = query.get("after");
    const missed = after === null ? [] : inbox.after(after);
    if (!missed) {
      const reset: Entry = { id: inbox.cursor, event: "reset", data: { reason: "unknown cursor" } };
      return Promise.resolve({ events: [reset], cursor: inbox.cursor });
    }
    if (after === null || missed.length > 0) return Promise.resolve({ events: missed, cursor: inbox.cursor });
    return new Promise((resolve, reject) => {
      const unfollow = inbox.follow(() => {
        unfollow();
        resolve({ events: inbox.after(after), cursor: inbox.cursor });
      });
      signal?.addEventListener("abort", () => {
        unfollow();
        reject(signal.reason);
      });
    });
  }

  return {
    EventSource: FakeEventSource as unknown as NonNullable<Environment["EventSource"]>,
    poll,
    count: () => open.size,
    fail: () => {
      for (const each of [...open]) each.fail(0);
    },
    end: (data: EventData["closing"]) => {
      for (const each of [...open]) each.end(data);
    },
  };
}
