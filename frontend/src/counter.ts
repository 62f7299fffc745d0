import type { Counts, EventName, StreamEvent } from "./events.js";

/** The counts, followed from event to event. `NaN` while one is not known. */
export interface Counter {
  unread: number;
  unseen: number;
  apply(event: StreamEvent): void;
}

/** A counter that knows nothing yet. */
export function createCounter(): Counter {
  let previous: EventName;

  function apply({ event, data }: StreamEvent): void {
    // A long poll's reset: a stream's comes behind a `connected` that has counted already.
    const isLost = event === "reset" && previous !== "connected";
    const step = isLost ? Number.NaN : Number(event === "notification");
    const { unread_count, unseen_count } = data as Partial<Counts>;
    counter.unread = unread_count ?? counter.unread + step;
    counter.unseen = unseen_count ?? counter.unseen + step;
    previous = event;
  }

  const counter = { unread: Number.NaN, unseen: Number.NaN, apply };
  return counter;
}
