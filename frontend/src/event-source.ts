import type { Environment } from "./environment.js";
import { EVENT_NAMES, type EventName, type StreamEvent } from "./events.js";

/** The callbacks of an open EventSource. */
export interface EventSourceHost {
  receive(event: StreamEvent): void;
  /** It has ended. `refused`: the service may have answered with a status other than 200. */
  fail(refused: boolean): void;
}

/** Open an EventSource. Returns the function that closes it, after which it calls the host no more. */
export function openEventSource(
  EventSource: NonNullable<Environment["EventSource"]>,
  address: string,
  withCredentials: boolean,
  host: EventSourceHost,
): () => void {
  const source = new EventSource(address, { withCredentials });
  let closed = false;

  for (const name of EVENT_NAMES) {
    source.addEventListener(name, (event) => {
      if (closed) return;
      const parsed = parse(name, event as MessageEvent<string>);
      if (parsed) host.receive(parsed);
      else host.fail(false); // damaged on its way: the cursor brings it again
    });
  }

  // After a break it would come back by itself, at its own pace and with a credential that may be used up; after a
  // status other than 200 it would not, and the event does not contain the status.
  source.addEventListener("error", () => {
    // 2 is EventSource.CLOSED, which a replacement may lack.
    if (!closed) host.fail(source.readyState === 2);
  });

  return () => {
    closed = true;
    source.close();
  };
}

function parse(event: EventName, { data, lastEventId }: MessageEvent<string>): StreamEvent | null {
  // The browser repeats the last id with an event that has none.
  const id = event === "heartbeat" || event === "closing" ? null : lastEventId;
  try {
    return { event, id, data: JSON.parse(data) } as StreamEvent;
  } catch {
    return null;
  }
}
