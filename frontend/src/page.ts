import type { Wake } from "./connection.js";
import type { Environment, PageEvents } from "./environment.js";

/** What happens to a page that matters to a stream. */
export interface PageHost {
  wake(why: Wake): void;
  /** The page is left, kept for "back", or frozen. */
  suspend(): void;
  /** It is back. */
  resume(): void;
}

/** Follow the page's life. Returns the function that ends it. */
export function watchPage({ window, document }: Environment, host: PageHost): () => void {
  let suspended = false;

  function suspend(): void {
    if (!suspended) host.suspend();
    suspended = true;
  }

  function resume(): void {
    if (suspended) host.resume();
    suspended = false;
  }

  const wake = ({ type }: Event) => host.wake(type as Wake);
  const listeners: [Environment["window"] | Environment["document"], string, (event: Event) => void][] = [
    [window, "online", wake],
    [window, "offline", wake],
    // An open connection, a lock or a channel would keep the page out of the back/forward cache.
    [window, "pagehide", suspend],
    [window, "pageshow", resume],
    [document, "visibilitychange", () => document?.visibilityState === "visible" && host.wake("visible")],
    [document, "freeze", suspend],
    [document, "resume", resume],
  ];
  const all = (method: keyof PageEvents) => {
    for (const [target, type, listener] of listeners) target?.[method](type, listener);
  };
  all("addEventListener");
  return () => all("removeEventListener");
}
