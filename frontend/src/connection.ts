import { statusOf } from "./api-error.js";
import type { Caller, PollAnswer } from "./caller.js";
import type { Environment } from "./environment.js";
import { openEventSource } from "./event-source.js";
import type { StreamEvent } from "./events.js";
import type { Settings } from "./options.js";
import type { ClosedReason, StreamError, StreamState } from "./state.js";

const STABLE = 5_000; // a stream that has lived so long did not fail
const LONGEST_STAY = 10; // with the long poll, in `streamRetry`s
const LOOPBACK = /\/\/(localhost|127\.|\[::1)/;
const QUICK = 500; // a long poll that is answered sooner, and without news, was not held: ask again later

/** What a connection tells, and what it needs to know of the log. */
export interface ConnectionHost {
  readonly cursor: string | null;
  receive(event: StreamEvent): void;
  /** The log was read up to here, maybe beyond the last event that came. */
  moveTo(cursor: string): void;
  show(state: StreamState): void;
  getState(): StreamState;
}

/** What bears on a connection from outside: somebody asks for it, the network comes or goes, the page is looked at. */
export type Wake = "asked" | "online" | "offline" | "visible";

/** The one connection of a stream: an EventSource, or long polls, never both. */
export interface Connection {
  /** Go on behind the host's cursor; `again` tells that it is not the first time. */
  start(again?: boolean): void;
  wake(why: Wake): void;
  stop(): void;
}

/** A connection that is not started. It can be stopped and started again. */
export function createConnection(
  settings: Settings,
  { EventSource, navigator, random }: Environment,
  caller: Caller,
  host: ConnectionHost,
): Connection {
  const timers = new Set<ReturnType<typeof setTimeout>>();

  let phase: "stopped" | "trying" | "open" | "polling" | "waiting" | "closed" = "stopped";
  let current = new AbortController(); // what is being asked now; aborted when it is overtaken
  let closeSource = () => {};
  let error: StreamError | null = null; // the last failure; null until there was one
  let failures = 0; // in a row
  let refusals = 0; // answers of 401 in a row
  let refresh = false; // whether the credential we had is known to be of no use
  let lastEventAt = 0;
  let notBefore = 0; // when the service said to ask again
  let blocked = false; // whether streams are known to fail here, so that events come by long poll
  let streamAt = 0; // when to try one nevertheless
  let streamTries = 0;
  // Until it changes, what the browser knows of the network says nothing of a service on this machine, nor of any once a
  // connection was made in spite of it.
  let trustsOnLine = !LOOPBACK.test(settings.url || globalThis.location?.origin);

  function start(again = false): void {
    if (again) error = { kind: "suspended" };
    // What was closed for good stays so when the page is thawed, or another tab's turn comes: see `retry`.
    if (again && host.getState().status === "closed") begin("closed");
    else open();
  }

  function open(): void {
    failures = refusals = notBefore = 0;
    attempt();
  }

  function attempt(): void {
    if (EventSource && (!blocked || Date.now() >= streamAt)) tryStream(EventSource);
    else poll();
  }

  async function tryStream(Source: NonNullable<Environment["EventSource"]>): Promise<void> {
    const { signal } = begin("trying");
    after(settings.connectTimeout, () => lost({ kind: "network" }, true));
    if (blocked) planNextStream();
    else showAttempt(null);
    if (signal.aborted) return; // whoever was shown it has closed the stream; so too below
    let address: string;
    try {
      address = await caller.streamAddress(host.cursor, refresh);
    } catch (cause) {
      if (!signal.aborted) refused(cause, { kind: "credentials", cause });
      return;
    }
    if (signal.aborted) return;
    closeSource = openEventSource(Source, address, settings.cookies, {
      receive: (event) => {
        lastEventAt = Date.now();
        if (!isOurs(event)) return close("wrong-user");
        if (event.event === "connected") settle();
        if (signal.aborted) return;
        host.receive(event);
        if (event.event === "closing" && !signal.aborted) end(event.data);
      },
      fail: (refused) => lost({ kind: "network" }, refused),
    });
  }

  function isOurs(event: StreamEvent): boolean {
    const user = (event.data as { user_id?: string }).user_id;
    return user === undefined || settings.user === undefined || user === settings.user;
  }

  function settle(): void {
    clearTimers();
    accepted();
    phase = "open";
    blocked = false;
    after(STABLE, () => {
      failures = streamTries = 0;
    });
    watch();
    host.show({ status: "open", shared: false });
  }

  function accepted(): void {
    refusals = 0;
    refresh = false;
    if (isOffline()) trustsOnLine = false;
  }

  /** By the clock, since a timer stands still while a laptop sleeps. */
  function watch(): void {
    if (Date.now() - lastEventAt > settings.silence) lost({ kind: "silent" });
    else after(settings.silence / 4, watch);
  }

  function end({ reason, reconnect }: { reason: string; reconnect: boolean }): void {
    if (!reconnect) return close("ended", reason);
    refresh = true;
    failures += 1;
    wait({ kind: "ending", reason });
  }

  /** The stream failed; `ask` tells that an answer of the service may be the reason. */
  function lost(fault: StreamError, ask = false): void {
    if (blocked) return void poll(); // it was only a try
    failures += 1;
    if (isOffline()) return wait(fault);
    error = fault;
    const enough = settings.pollAfter > 0 && failures >= settings.pollAfter;
    if (ask || enough) askWhy(fault, enough);
    else wait(fault);
  }

  async function askWhy(fault: StreamError, enough: boolean): Promise<void> {
    const { signal } = begin("trying");
    after(settings.connectTimeout, () => wait(fault));
    showAttempt(null);
    if (signal.aborted) return;
    try {
      await caller.ask(signal);
    } catch (cause) {
      if (!signal.aborted) refused(cause, fault);
      return;
    }
    if (signal.aborted) return;
    refusals = 0;
    if (!enough || !settings.reconnect) return wait(fault);
    blocked = true; // the service answers, and streams do not come through
    planNextStream();
    poll();
    if (host.cursor !== null) host.show({ status: "polling", shared: false });
  }

  /** An answer of 401 gets one more chance, with a fresh credential. Everything else may pass. */
  function refused(cause: unknown, fault: StreamError): void {
    const status = statusOf(cause);
    if (status === 401) {
      refusals += 1;
      refresh = true;
      return refusals > 1 ? close("unauthorized") : attempt();
    }
    if (fault.kind === "credentials") failures += 1;
    notBefore = Date.now() + ((cause as { retryAfter?: number } | null)?.retryAfter ?? 0);
    wait(status && fault.kind !== "credentials" ? { kind: "refused", status } : fault);
  }

  function planNextStream(): void {
    streamAt = Date.now() + settings.streamRetry * Math.min(2 ** streamTries++, LONGEST_STAY);
  }

  async function poll(): Promise<void> {
    const { signal } = begin("polling");
    const asked = Date.now();
    after(settings.pollTimeout + settings.connectTimeout, () => pollFailed(null));
    try {
      const answer = await caller.poll(host.cursor, settings.pollTimeout, refresh, signal);
      if (signal.aborted) return;
      take(answer, signal);
      if (signal.aborted) return;
      const isNews = answer.events.some(({ event }) => event !== "reset");
      if (isNews || Date.now() - asked > QUICK) return attempt();
      clearTimers();
      after(settings.minDelay, attempt);
    } catch (cause) {
      if (!signal.aborted) pollFailed(cause);
    }
  }

  function take({ events, cursor }: PollAnswer, signal: AbortSignal): void {
    accepted();
    failures = 0;
    if (host.cursor === null) host.moveTo(cursor); // the first answer has no events: it tells where the log stands
    if (host.getState().status !== "polling") host.show({ status: "polling", shared: false });
    for (const event of events) {
      if (signal.aborted) return;
      if (!isOurs(event)) return close("wrong-user");
      host.receive(event);
    }
    if (!signal.aborted) host.moveTo(cursor);
  }

  function pollFailed(cause: unknown): void {
    failures += 1;
    refused(cause, { kind: "network" });
  }

  function wait(fault: StreamError): void {
    if (!settings.reconnect) return close("lost");
    begin("waiting");
    error = isOffline() ? { kind: "offline" } : fault;
    if (error.kind === "offline") return showAttempt(null);
    const bound = Math.min(settings.maxDelay, settings.minDelay * 2 ** Math.max(0, failures - 1));
    const delay = Math.max(random() * bound, notBefore - Date.now());
    after(delay, attempt);
    showAttempt(Date.now() + delay);
  }

  function isOffline(): boolean {
    return trustsOnLine && navigator?.onLine === false;
  }

  function wake(why: Wake): void {
    if (why === "online" || why === "offline") trustsOnLine = true;
    if (why === "asked") retry();
    else if (phase === "open") doubt(why);
    else if (phase === "waiting" && why !== "offline" && !isOffline() && Date.now() >= notBefore) attempt();
    else if (phase === "polling" && why === "online") retry();
  }

  /** A connection over a network that is gone, or from before a sleep, looks open until it has been silent for long. */
  function doubt(why: Wake): void {
    if (why === "offline") lost({ kind: "network" });
    else if (Date.now() - lastEventAt > settings.silence) lost({ kind: "silent" });
  }

  function retry(): void {
    // Whoever asks may have signed in since: a refusal of what is under way is not the last word.
    refusals = 0;
    refresh = true;
    streamAt = 0; // another network, or somebody who knows more: a stream may come through now
    if (phase === "closed") open();
    else if (phase === "waiting" || phase === "polling") attempt();
  }

  function close(reason: ClosedReason, detail?: string): void {
    begin("closed");
    host.show({ status: "closed", reason, ...(detail && { detail }) });
  }

  /** Overtake whatever is under way, so that there are never two. */
  function begin(next: typeof phase): AbortController {
    phase = next;
    current.abort();
    current = new AbortController();
    closeSource();
    clearTimers();
    return current;
  }

  function after(delay: number, act: () => void): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      act();
    }, delay);
    timers.add(timer);
  }

  function clearTimers(): void {
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
  }

  function showAttempt(retryAt: number | null): void {
    host.show(error ? { status: "reconnecting", attempt: failures, retryAt, error } : { status: "connecting" });
  }

  return { start, wake, stop: () => begin("stopped") };
}
