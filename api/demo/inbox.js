// What one user's notifications look like: what the server has said, overlaid with what was just asked of it.

export class Inbox {
  items = new Map(); // id → notification, as of the last event
  unread = null; // the server's count; null until it has said one
  older = null; // where the next page of the list begins; null at its end
  #pending = new Map(); // id → "read" or "deleted": asked for, and its event is not here yet

  /** Newest first, with what is pending already done. */
  get visible() {
    return [...this.items.values()]
      .filter(({ id }) => this.#pending.get(id) !== "deleted")
      .map((item) => ({ ...item, is_read: item.is_read || this.#pending.has(item.id) }))
      .sort((a, b) => b.id - a.id);
  }

  /** The badge. The server counts, also what is not in the list; only what is pending is taken off. */
  get badge() {
    if (this.unread === null) return null;
    const pending = [...this.#pending.keys()].filter((id) => this.items.get(id)?.is_read === false);
    return Math.max(0, this.unread - pending.length);
  }

  clear() {
    this.items.clear();
    this.#pending.clear();
  }

  /** Take in a page of the list. Events that came while it was fetched are applied after it, see `Panel`. */
  merge({ notifications, next_before }) {
    for (const item of notifications) this.items.set(item.id, item);
    this.older = next_before;
  }

  expect(ids, what) {
    for (const id of ids) this.#pending.set(id, what);
  }

  giveUp(ids) {
    for (const id of ids) this.#pending.delete(id);
  }

  /** Apply an event. Applying in the stream's order makes every device of a user arrive at the same. */
  apply(name, data) {
    switch (name) {
      case "connected":
        this.unread = data.unread_count;
        break;
      case "notification":
        this.items.set(data.id, data);
        this.unread += 1;
        break;
      case "read": {
        const ids = data.ids === "all" ? [...this.items.keys()] : data.ids;
        for (const id of ids) this.#settle(id, "read");
        this.unread = data.unread_count;
        break;
      }
      case "deleted":
        for (const id of data.ids) this.#settle(id, "deleted");
        this.unread = data.unread_count;
        break;
    }
  }

  #settle(id, what) {
    if (what === "deleted") this.items.delete(id);
    else if (this.items.has(id)) this.items.set(id, { ...this.items.get(id), is_read: true });
    if (this.#pending.get(id) === what) this.#pending.delete(id);
  }
}
