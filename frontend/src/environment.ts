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
  /** Whether there is a network, as far as the browser knows. */
  navigator: Pick<Navigator, "onLine"> | undefined;
  locks: Pick<LockManager, "request"> | undefined;
  BroadcastChannel: (new (name: string) => BroadcastChannel) | undefined;
}

/** The page's own, also one that replaces it later (a test's, or that of a tracing library). */
export const pageFetch: Environment["fetch"] = (url, init) => fetch(url, init);

/**
 * The environment of this page, overlaid with these parts.
 *
 * Several servers' runtimes have an EventSource, and React Native a `window`: neither makes a page.
 */
export function completeEnvironment(overrides: Partial<Environment> = {}): Environment {
  const page = asPage(globalThis.window);
  const isBrowser = page || "importScripts" in globalThis; // a worker's
  return {
    EventSource: isBrowser ? globalThis.EventSource : undefined,
    fetch: pageFetch,
    random: Math.random,
    window: page,
    document: asPage(globalThis.document),
    navigator: globalThis.navigator,
    locks: globalThis.navigator?.locks,
    BroadcastChannel: page && globalThis.BroadcastChannel,
    ...overrides,
  };
}

function asPage<Target extends PageEvents>(target: Target | undefined): Target | undefined {
  return target?.addEventListener && target;
}
