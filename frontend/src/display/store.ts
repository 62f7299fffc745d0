/** What can be read now, and followed. */
export interface Readable<Value> {
  /** Calls `run` with the value at once, and again whenever it changes. Returns the function that ends it. */
  subscribe(run: (value: Value) => void): () => void;
}

/**
 * An inbox or a stream as a store in the sense of Svelte: `$inbox.unreadCount`.
 *
 * @param source an inbox, whose snapshots are the values, or a stream, whose states are.
 */
export function asStore<Value>(
  source: { subscribe(listener: () => void): () => void } & ({ getSnapshot(): Value } | { getState(): Value }),
): Readable<Value> {
  const read = () => ("getSnapshot" in source ? source.getSnapshot() : source.getState());
  return {
    subscribe(run) {
      run(read());
      return source.subscribe(() => run(read()));
    },
  };
}
