/** The page's own events that a stream listens to: `window`, and `document` for the visibility. */
export interface PageEvents {
  addEventListener(type: string, listener: (event: Event) => void): void;
  removeEventListener(type: string, listener: (event: Event) => void): void;
}

/** What a stream uses of the browser. Each part can be replaced; one that is `undefined` is done without. */
export interface Environment {
  EventSource: (new (url: string, init?: EventSourceInit) => EventSource) | undefined;
  fetch: (url: string, init?: RequestInit) => Promise<Response>;
  /** Used for waits only, never for ids. */
  random: () => number;
  window: PageEvents | undefined;
  document: (PageEvents & { readonly visibilityState: DocumentVisibilityState }) | undefined;
  locks: Pick<LockManager, "request"> | undefined;
  BroadcastChannel: (new (name: string) => BroadcastChannel) | undefined;
}

/** The environment of this page, overlaid with what was given. */
export function completeEnvironment(given: Partial<Environment> = {}): Environment {
  return {
    EventSource: globalThis.EventSource,
    // Called through globalThis, so that a fetch that is replaced later (by a test, by tracing) is the one used.
    fetch: (url, init) => globalThis.fetch(url, init),
    random: Math.random,
    window: typeof window === "undefined" ? undefined : window,
    document: typeof document === "undefined" ? undefined : document,
    locks: globalThis.navigator?.locks,
    BroadcastChannel: typeof window === "undefined" ? undefined : globalThis.BroadcastChannel,
    ...given,
  };
}
