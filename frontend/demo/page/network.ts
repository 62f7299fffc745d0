import type { Environment } from "shirase";

/** One user's network, as far as this browser's pages are concerned: it can be cut, and counts what goes through. */
export interface Network {
  /** What a stream uses instead of the browser's own. */
  readonly environment: Pick<Environment, "EventSource" | "fetch">;
  getSnapshot(): NetworkSnapshot;
  subscribe(listener: () => void): () => void;
  cut(): void;
  restore(): void;
  close(): void;
}

/** A network at one moment. */
export interface NetworkSnapshot {
  isCut: boolean;
  /** Requests since the page was opened, streams included. */
  requests: number;
}

/** The network of a user. Tabs that share a stream share the cut too: any of them may hold the stream. */
export function createNetwork(user: string): Network {
  let snapshot: NetworkSnapshot = { isCut: false, requests: 0 };
  let cable = new AbortController();
  const listeners = new Set<() => void>();
  const open = new Set<Cuttable>();
  const others = new BroadcastChannel(`demo/network/${user}`);
  others.onmessage = ({ data }) => set(data === true);

  class Cuttable extends EventSource {
    constructor(url: string | URL, init?: EventSourceInit) {
      super(url, init);
      open.add(this);
      if (snapshot.isCut) this.drop();
      else change({ requests: snapshot.requests + 1 });
    }

    /** What a browser does when the connection cannot be made: closed, and then an error. */
    drop(): void {
      this.close();
      setTimeout(() => this.dispatchEvent(new Event("error")));
    }

    override close(): void {
      open.delete(this);
      super.close();
    }
  }

  async function fetchThrough(url: string, init: RequestInit = {}): Promise<Response> {
    if (snapshot.isCut) throw new TypeError("the network is cut");
    change({ requests: snapshot.requests + 1 });
    const signals = init.signal ? [init.signal, cable.signal] : [cable.signal];
    return fetch(url, { ...init, signal: AbortSignal.any(signals) });
  }

  function set(isCut: boolean): void {
    if (isCut === snapshot.isCut) return;
    change({ isCut });
    if (isCut) {
      cable.abort(new TypeError("the network was cut"));
      for (const source of [...open]) source.drop();
    } else {
      cable = new AbortController();
      window.dispatchEvent(new Event("online")); // as a browser dispatches it
    }
  }

  function change(changes: Partial<NetworkSnapshot>): void {
    snapshot = { ...snapshot, ...changes };
    for (const listener of listeners) listener();
  }

  function setEverywhere(isCut: boolean): void {
    set(isCut);
    others.postMessage(isCut);
  }

  return {
    environment: { EventSource: Cuttable, fetch: fetchThrough },
    getSnapshot: () => snapshot,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    cut: () => setEverywhere(true),
    restore: () => setEverywhere(false),
    close: () => others.close(),
  };
}
