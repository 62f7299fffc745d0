/** Those who hear one thing. */
export interface Listeners<Said> {
  /** Returns the function that ends it. */
  add(listener: (said: Said) => void): () => void;
  tell(said: Said): void;
}

/** Nobody, at first. */
export function createListeners<Said>(): Listeners<Said> {
  const all = new Set<(said: Said) => void>();

  function add(listener: (said: Said) => void): () => void {
    const own = (said: Said) => listener(said); // so that one function can be added twice, and each ended alone
    all.add(own);
    return () => all.delete(own);
  }

  function tell(said: Said): void {
    for (const listener of [...all]) {
      try {
        listener(said);
      } catch (error) {
        // A listener's mistake is told to the page as any other, and costs neither the others nor the stream.
        setTimeout(() => {
          throw error;
        });
      }
    }
  }

  return { add, tell };
}
