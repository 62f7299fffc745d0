import type { Counts, EventData, EventName, StreamEvent } from "./events.js";

const KEPT = 500; // events, for tabs that come back

/** A tab's cursor, the counts there, and the latest events. */
export interface History {
  readonly cursor: string | null;
  /** `NaN` while unknown. */
  readonly counts: Counts;
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
  let counts: Counts = { unread_count: Number.NaN, unseen_count: Number.NaN };
  let previous: EventName;
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
    count(event);
    return true;
  }

  function count({ event, data }: StreamEvent): void {
    // A long poll's reset: a stream's comes behind a `connected` that has counted already.
    const isLost = event === "reset" && previous !== "connected";
    const step = isLost ? Number.NaN : Number(event === "notification");
    const { unread_count = counts.unread_count + step, unseen_count = counts.unseen_count + step } =
      data as Partial<Counts>;
    counts = { unread_count, unseen_count };
    previous = event;
  }

  function record(id: string, event: StreamEvent | null): void {
    cursor = id;
    if (!entries.has(id)) entries.set(id, event);
    if (entries.size > KEPT) entries.delete(entries.keys().next().value as string);
  }

  function since(known: string | null): StreamEvent[] {
    if (cursor === null || known === cursor) return [];
    const all = [...entries];
    const place = all.findIndex(([id]) => id === known);
    if (place >= 0) return all.slice(place + 1).flatMap(([, event]) => event ?? []);
    const begin: StreamEvent[] = [];
    if (connected && counts.unread_count >= 0) {
      begin.push({ event: "connected", id: cursor, data: { ...connected, ...counts } });
    }
    if (known !== null) begin.push({ event: "reset", id: cursor, data: { reason: "forgotten" } });
    return begin;
  }

  return {
    get cursor() {
      return cursor;
    },
    get counts() {
      return counts;
    },
    take,
    moveTo: (reached) => record(reached, null),
    since,
  };
}
