/** The listeners of one kind of value. */
export interface Listeners<Value> {
  /** Returns the function that removes it. */
  add(listener: (value: Value) => void): () => void;
  emit(value: Value): void;
}

/** No listeners yet. */
export function createListeners<Value>(): Listeners<Value> {
  const all = new Set<(value: Value) => void>();

  function add(listener: (value: Value) => void): () => void {
    const own = (value: Value) => listener(value); // so that one function can be added twice, and each ended alone
    all.add(own);
    return () => all.delete(own);
  }

  function emit(value: Value): void {
    for (const listener of [...all]) {
      try {
        listener(value);
      } catch (error) {
        // A listener's exception reaches the page as an uncaught error, and disturbs neither the others nor the stream.
        setTimeout(() => {
          throw error;
        });
      }
    }
  }

  return { add, emit };
}
