import type { EventName, StreamEvent } from "./events.js";

/** The unread count, followed from event to event. */
export interface UnreadCounter {
  /** `null` while it is not known. */
  readonly count: number | null;
  apply(event: StreamEvent): void;
  /** Take a count that was fetched, and the newest notification there was: what is older has been counted. */
  assume(count: number, newestId: number): void;
}

/** A counter that knows nothing yet. */
export function createUnreadCounter(): UnreadCounter {
  let count: number | null = null;
  let countedTo = 0; // only after a fetch: the log's own counts are each the count at their place in it
  let previous: EventName | null = null;

  function apply(event: StreamEvent): void {
    if (event.event === "notification") {
      if (count !== null && event.data.id > countedTo) count += 1;
    } else if ("unread_count" in event.data) {
      count = event.data.unread_count;
      countedTo = 0;
    } else if (event.event === "reset" && previous !== "connected") {
      count = null; // a long poll's reset; a stream's comes behind a `connected` that has counted already
    }
    previous = event.event;
  }

  function assume(fetched: number, newestId: number): void {
    count = fetched;
    countedTo = newestId;
  }

  return {
    get count() {
      return count;
    },
    apply,
    assume,
  };
}
