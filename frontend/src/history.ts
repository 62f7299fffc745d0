import { createCounter } from "./counter.js";
import type { EventData, StreamEvent } from "./events.js";

const KEPT = 500; // events, for tabs that come back

/** A tab's cursor, and the latest events. */
export interface History {
  readonly cursor: string | null;
  /** Record an event. False if it is a repeat. */
  take(event: StreamEvent): boolean;
  /** Record that the log was read up to this cursor. */
  moveTo(cursor: string): void;
  /** The events that bring a tab at `cursor` to this tab's position. */
  since(cursor: string | null): StreamEvent[];
}

/** The history of a tab that begins at `cursor`. */
export function createHistory(start?: string): History {
  const entries = new Map<string, StreamEvent | null>(); // by cursor, in the log's order
  const counter = createCounter();
  let cursor: string | null = null;
  let connected: EventData["connected"] | null = null;
  if (start !== undefined) record(start, null);

  function take(event: StreamEvent): boolean {
    if (event.event === "reset") entries.clear(); // the log begins anew, maybe with cursors that were used before
    if (event.id !== null) {
      // `connected` begins at a cursor and is not itself what happened there.
      if (event.event !== "connected" && entries.has(event.id)) return false;
      record(event.id, event);
    }
    if (event.event === "connected") connected = event.data;
    counter.apply(event);
    return true;
  }

  function record(id: string, event: StreamEvent | null): void {
    cursor = id;
    if (!entries.has(id)) entries.set(id, event);
    if (entries.size > KEPT) entries.delete(entries.keys().next().value as string);
  }

  function since(known: string | null): StreamEvent[] {
    if (cursor === null || known === cursor) return [];
    if (known !== null && entries.has(known)) {
      const ids = [...entries.keys()];
      return ids.slice(ids.indexOf(known) + 1).flatMap((id) => entries.get(id) ?? []);
    }
    const begin: StreamEvent[] = [];
    const { unread, unseen } = counter;
    if (connected && unread >= 0) {
      begin.push({
        event: "connected",
        id: cursor,
        data: { ...connected, unread_count: unread, unseen_count: unseen },
      });
    }
    if (known === null) return begin;
    return [...begin, { event: "reset", id: cursor, data: { reason: "forgotten" } }];
  }

  return {
    get cursor() {
      return cursor;
    },
    take,
    moveTo: (reached) => record(reached, null),
    since,
  };
}
