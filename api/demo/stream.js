// One user's stream: the browser's own EventSource, and the three things that it leaves to its user. It gives up for
// good at any status but 200, it keeps the token that it was opened with, and it does not notice a silent connection.

const EVENTS = ["connected", "notification", "read", "deleted", "heartbeat", "reset", "closing"];
const LONGEST_WAIT = 30_000; // milliseconds between two attempts
const SLOW_START = 8_000;
const SLOW_HINT = "No answer yet. A browser opens six connections to one address at most: close a tab?";

export class Stream {
  #session;
  #onState;
  #onEvent;
  #source = null;
  #cursor = null;
  #attempt = 0; // numbers the openings, so that one that was overtaken knows
  #failures = 0;
  #timers = {};

  /**
   * `onState(state, reason)` hears connecting, live, reconnecting and stopped;
   * `onEvent(name, data, id)` hears every event, in the stream's order.
   */
  constructor(session, onState, onEvent) {
    this.#session = session;
    this.#onState = onState;
    this.#onEvent = onEvent;
  }

  start() {
    this.#failures = 0;
    this.#open();
  }

  stop(reason = "") {
    this.#attempt += 1;
    this.#close();
    this.#onState("stopped", reason);
  }

  async #open() {
    const attempt = ++this.#attempt;
    this.#close();
    this.#show();
    this.#after("slow", SLOW_START, () => this.#show(SLOW_HINT));
    try {
      const grant = await this.#session.grant();
      if (attempt === this.#attempt) this.#connect(grant);
    } catch (problem) {
      if (attempt !== this.#attempt) return;
      // A refusal stays one however often it is asked for; everything else may pass.
      if (problem.status >= 400 && problem.status < 500 && problem.status !== 429) this.stop(problem.message);
      else this.#later(problem.message);
    }
  }

  #connect({ token, heartbeat, renewAt }) {
    const query = new URLSearchParams({ token });
    // A reconnect of EventSource's own sends Last-Event-ID; a new EventSource has to be told.
    if (this.#cursor) query.set("last_event_id", this.#cursor);
    const source = new EventSource(`/api/sse/notifications?${query}`);
    this.#source = source;
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        this.#listen(heartbeat);
        this.#receive(name, event);
      });
    }
    source.onerror = () => {
      if (source.readyState === EventSource.CONNECTING) return this.#show();
      this.#session.forget(); // EventSource does not tell the status: it may have been a 401
      this.#later();
    };
    this.#listen(heartbeat);
    this.#after("renewal", renewAt - Date.now(), () => this.#open());
  }

  #receive(name, { data, lastEventId }) {
    if (lastEventId) this.#cursor = lastEventId;
    const content = JSON.parse(data);
    if (name === "connected") {
      this.#failures = 0;
      clearTimeout(this.#timers.slow);
      this.#onState("live", "");
    }
    // An event without an id leaves lastEventId as it was: those two are the ones.
    this.#onEvent(name, content, name === "heartbeat" || name === "closing" ? "" : lastEventId);
    if (name === "closing") this.#end(content);
  }

  #end({ reason, reconnect }) {
    if (!reconnect) return this.stop(reason);
    this.#session.forget();
    this.#later(reason);
  }

  /** The service breaks every silence with a heartbeat. Two that stay out mean that the connection is dead. */
  #listen(heartbeat) {
    this.#after("silence", 2 * heartbeat + 5_000, () => this.#open());
  }

  #later(reason = "") {
    this.#attempt += 1;
    this.#close();
    this.#show(reason);
    const wait = Math.min(LONGEST_WAIT, 1_000 * 2 ** this.#failures++);
    this.#after("retry", wait * (0.5 + Math.random() / 2), () => this.#open());
  }

  #show(reason = "") {
    this.#onState(this.#cursor ? "reconnecting" : "connecting", reason);
  }

  #after(name, delay, act) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(act, delay);
  }

  #close() {
    this.#source?.close();
    this.#source = null;
    Object.values(this.#timers).forEach(clearTimeout);
  }
}
