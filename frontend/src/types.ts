import type { Counts, EventData, EventName, EventOf, StreamEvent } from "./events.js";
import type { StreamState } from "./state.js";

/** One user's live events. `createNotificationStream` makes it. */
export interface NotificationStream {
  /** The state now: the same object until it changes. */
  getState(): StreamState;
  /** Call `listener` when the state has changed. Returns the function that unsubscribes. */
  subscribe(listener: () => void): () => void;
  /** Receive the events of one name, in the stream's order, each once. Returns the function that unsubscribes. */
  on<Name extends EventName>(name: Name, listener: (data: EventData[Name], event: EventOf<Name>) => void): () => void;
  /** Receive every event, in the stream's order, each once. Returns the function that unsubscribes. */
  listen(listener: (event: StreamEvent) => void): () => void;
  /** Where this tab stands in the user's log: what to begin behind another time. `null` before the first event. */
  readonly cursor: string | null;
  /** The counts there. `NaN` while unknown: long polls begin without them. */
  readonly counts: Counts;
  /** Start a stream that is `idle`. */
  connect(): void;
  /** Try at once what is being waited for, and open again what was closed by anything but `close()`. */
  retryNow(): void;
  /**
   * Ask the REST API with this stream's credentials: `request("GET", "/api/notifications", { category: "billing" })`.
   *
   * @param body of a GET, the query; otherwise what is sent as JSON.
   * @returns the JSON of the answer; `undefined` if it has no body.
   * @throws ApiError if the service refuses; whatever `fetch` throws if it does not answer.
   */
  request(method: string, path: string, body?: unknown): Promise<unknown>;
  /** End it for good, and release everything. */
  close(): void;
}
