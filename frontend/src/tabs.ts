import type { Connection, Wake } from "./connection.js";
import type { Environment } from "./environment.js";
import type { StreamEvent } from "./events.js";
import type { StreamState } from "./state.js";

const ANSWER = 5_000; // how long the leader may take to answer; a page that is frozen never does

/** What tab sharing needs of this tab's stream. */
export interface TabsHost {
  readonly cursor: string | null;
  receive(event: StreamEvent): void;
  moveTo(cursor: string): void;
  show(state: StreamState): void;
  getState(): StreamState;
  /** The events after `cursor` that this tab has. */
  since(cursor: string | null): StreamEvent[];
}

/** One connection for all tabs: the leader has it, and passes its events on. */
export interface Tabs extends Connection {
  /** Pass an event on to the other tabs, if this is the leader. */
  passOn(event: StreamEvent): void;
  passOnState(state: StreamState): void;
}

type Message = { from: string } & Content;
type Content =
  | { type: "lead" } // this tab has the connection now
  | { type: "resign" } // this tab has it no longer
  | { type: "hello"; cursor: string | null } // this tab's cursor
  | { type: "welcome"; to: string; state: StreamState; cursor: string | null; events: StreamEvent[] }
  | { type: "event"; event: StreamEvent }
  | { type: "state"; state: StreamState }
  | { type: "wake"; why: Wake };

/**
 * Share `connection` with the other tabs that use the same `name`.
 *
 * The holder of the lock leads. The browser passes the lock to the next in line when its holder's tab is closed, and a
 * tab whose leader does not answer steals it. A new leader resumes at its own cursor, and the others send theirs: what
 * one of them has missed is in the leader's history.
 */
export function createTabs(
  { locks, BroadcastChannel }: Environment,
  name: string,
  silence: number,
  connection: Connection,
  host: TabsHost,
): Tabs {
  const self = Math.random().toString(36).slice(2);

  let role: "out" | "following" | "leading" = "out";
  let channel: BroadcastChannel | null = null;
  let turn = 0; // numbers our requests for the lock, so that an earlier one's end is not taken for this one's
  let queued = new AbortController();
  let release = () => {};
  let leader: string | null = null; // the tab that this one follows, once it has the same cursor
  let again = false; // whether this tab has had a connection before
  let lastMessageAt = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function start(restart = false): void {
    again ||= restart;
    try {
      if (locks && BroadcastChannel) channel = new BroadcastChannel(name);
    } catch {} // a sandboxed page may have the API and not be allowed it
    if (!channel) return connection.start(again);
    channel.onmessage = ({ data }: MessageEvent<Message>) => handle(data);
    role = "following";
    takeTurn();
    hello();
    if (!again) host.show({ status: "connecting" });
    else if (host.getState().status !== "closed") {
      host.show({ status: "reconnecting", attempt: 0, retryAt: null, error: { kind: "suspended" } });
    }
  }

  function takeTurn(steal = false): void {
    const mine = ++turn;
    queued.abort();
    queued = new AbortController();
    const options = steal ? { steal } : { signal: queued.signal };
    locks
      ?.request(name, options, () => {
        if (mine !== turn) return;
        lead();
        return new Promise<void>((resolve) => {
          release = resolve;
        });
      })
      .catch(() => {
        if (mine !== turn) return;
        if (role === "leading") depose();
        else lead(); // locks are not to be had here: better a connection of our own than none
      });
  }

  function lead(): void {
    clearTimeout(timer);
    role = "leading";
    post({ type: "lead" });
    connection.start(again);
    again = true;
  }

  /** Another tab has taken the lock, because we did not answer. */
  function depose(): void {
    connection.stop();
    role = "following";
    post({ type: "resign" });
    takeTurn();
    hello();
  }

  function hello(): void {
    leader = null; // until its history has arrived, its next events would be early
    post({ type: "hello", cursor: host.cursor });
    clearTimeout(timer);
    timer = setTimeout(() => takeTurn(true), ANSWER);
  }

  function handle(message: Message): void {
    if (role === "leading") return answer(message);
    if (message.type === "lead") return hello();
    if (message.type === "welcome" && message.to === self) return follow(message);
    if (message.from !== leader) return;
    lastMessageAt = Date.now();
    if (message.type === "event") host.receive(message.event);
    else if (message.type === "state") host.show(asShared(message.state));
    else if (message.type === "resign") hello();
  }

  function answer(message: Message): void {
    if (message.type === "wake") connection.wake(message.why);
    if (message.type !== "hello") return;
    const { from, cursor } = message;
    if (cursor !== null && host.cursor === null) {
      host.moveTo(cursor); // this tab opened too late to have that tab's events: begin at its cursor
      connection.start(true);
    }
    const state = asMessage(host.getState());
    post({ type: "welcome", to: from, state, cursor: host.cursor, events: host.since(cursor) });
    // A tab that is opened now requests a connection, whatever ended the stream before.
    if (cursor === null && state.status === "closed") connection.wake("asked");
  }

  function follow({ from, state, cursor, events }: Message & { type: "welcome" }): void {
    leader = from;
    again = true;
    lastMessageAt = Date.now();
    clearTimeout(timer);
    watch();
    for (const event of events) {
      host.receive(event);
      if (role !== "following") return; // a listener has closed the stream
    }
    if (cursor !== null) host.moveTo(cursor);
    host.show(asShared(state));
  }

  function watch(): void {
    if (Date.now() - lastMessageAt > silence) hello();
    else timer = setTimeout(watch, silence / 4);
  }

  function wake(why: Wake): void {
    if (role !== "following") return connection.wake(why);
    if (why === "offline") return; // the leader gets the event too
    if (leader !== null && Date.now() - lastMessageAt > silence) hello();
    // The leader may be hidden, where its own timers hardly run.
    post({ type: "wake", why });
  }

  function stop(): void {
    turn += 1;
    role = "out";
    queued.abort();
    clearTimeout(timer);
    connection.stop(); // before the lock goes, so that there are never two
    release();
    channel?.close();
    channel = null;
  }

  function post(message: Content): void {
    channel?.postMessage({ from: self, ...message });
  }

  return {
    start,
    wake,
    stop,
    passOn: (event) => {
      if (role === "leading") post({ type: "event", event });
    },
    passOnState: (state) => {
      if (role === "leading") post({ type: "state", state: asMessage(state) });
    },
  };
}

/** A thrown value may be anything; a message carries only what can be cloned. */
function asMessage(state: StreamState): StreamState {
  if (state.status !== "reconnecting" || state.error.kind !== "credentials") return state;
  return { ...state, error: { kind: "credentials", cause: String(state.error.cause) } };
}

function asShared(state: StreamState): StreamState {
  return state.status === "open" || state.status === "polling" ? { ...state, shared: true } : state;
}
