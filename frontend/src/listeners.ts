/** Those who hear one thing. */
export interface Listeners<Value> {
  /** Returns the function that ends it. */
  add(listener: (value: Value) => void): () => void;
  emit(value: Value): void;
}

/** Nobody, at first. */
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
        // A listener's mistake is told to the page as any other, and costs neither the others nor the stream.
        setTimeout(() => {
          throw error;
        });
      }
    }
  }

  return { add, emit };
}
