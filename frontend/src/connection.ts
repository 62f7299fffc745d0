import { statusOf } from "./api-error.js";
import type { Caller, PollAnswer } from "./caller.js";
import type { Environment } from "./environment.js";
import { openEventSource } from "./event-source.js";
import type { StreamEvent } from "./events.js";
import type { Settings } from "./options.js";
import type { ClosedReason, StreamError, StreamState } from "./state.js";

const STABLE = 5_000; // milliseconds after which an open stream counts as stable
const LONGEST_STAY = 10; // with the long poll, in `streamRetry`s
const LOOPBACK = /\/\/(localhost|127\.|\[::1)/;
const QUICK = 500; // milliseconds; a long poll without news that is answered sooner was not held: wait before the next

/** The stream behind a connection: its cursor, its events and its state. */
export interface ConnectionHost {
  readonly cursor: string | null;
  receive(event: StreamEvent): void;
  /** The log was read up to this cursor, which may be beyond the last event. */
  moveTo(cursor: string): void;
  show(state: StreamState): void;
  getState(): StreamState;
}

/** Outside causes to reconnect: a request of the page, a change of the network, the page shown again. */
export type Wake = "asked" | "online" | "offline" | "visible";

/** The one connection of a stream: an EventSource, or long polls, never both. */
export interface Connection {
  /** Connect at the host's cursor; `again`: after an earlier start. */
  start(again?: boolean): void;
  wake(why: Wake): void;
  stop(): void;
}

type Phase = "stopped" | "trying" | "open" | "polling" | "waiting" | "closed";

/** A connection that is not started. It can be stopped and started again. */
export function createConnection(
  settings: Settings,
  { EventSource, navigator, random }: Environment,
  caller: Caller,
  host: ConnectionHost,
): Connection {
  const timers = new Set<ReturnType<typeof setTimeout>>();

  let phase: Phase = "stopped";
  let current = new AbortController(); // the present attempt; aborted when another one begins
  let closeSource = () => {};
  let error: StreamError | null = null; // the last failure; null until there was one
  let failures = 0; // in a row
  let refusals = 0; // answers of 401 in a row
  let refresh = false; // whether the last credential was refused
  let lastEventAt = 0;
  let notBefore = 0; // the time of the service's Retry-After
  let blocked = false; // whether streams fail here, so that long polls are used
  let streamAt = 0; // when to try a stream again
  let streamTries = 0;
  // `navigator.onLine` is ignored for a service on this machine, and after a connect in spite of it, until it changes.
  let trustsOnLine = !LOOPBACK.test(settings.url || globalThis.location?.origin);

  function start(again = false): void {
    if (again) error = { kind: "suspended" };
    // A stream that is closed for good stays closed when the page resumes or this tab becomes the leader: see `retry`.
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

  function tryStream(Source: NonNullable<Environment["EventSource"]>): void {
    if (blocked) planNextStream();
    run(
      "trying",
      () => caller.streamAddress(host.cursor, refresh),
      (address, signal) => {
        closeSource = openEventSource(Source, address, settings.cookies, {
          receive: (event) => receive(event, signal),
          fail: (refused) => lost({ kind: "network" }, refused),
        });
      },
      (cause) => (cause ? refused(cause, { kind: "credentials", cause }) : lost({ kind: "network" }, true)),
    );
  }

  function receive(event: StreamEvent, signal: AbortSignal): void {
    lastEventAt = Date.now();
    if (!isOurs(event)) return close("wrong-user");
    if (event.event === "connected") settle();
    if (signal.aborted) return; // a listener has closed the stream; so too below
    host.receive(event);
    if (event.event === "closing" && !signal.aborted) end(event.data);
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

  /** Compares times, since a timer does not run while a laptop sleeps. */
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

  /** The stream failed; `ask`: an answer of the service may be the reason. */
  function lost(fault: StreamError, ask = false): void {
    if (blocked) return poll(); // it was only a try
    failures += 1;
    if (isOffline()) return wait(fault);
    error = fault;
    const enough = settings.pollAfter > 0 && failures >= settings.pollAfter;
    if (ask || enough) askWhy(fault, enough);
    else wait(fault);
  }

  function askWhy(fault: StreamError, enough: boolean): void {
    run(
      "trying",
      caller.ask,
      () => {
        refusals = 0;
        if (!enough || !settings.reconnect) return wait(fault);
        blocked = true; // the service answers, but streams do not work
        planNextStream();
        poll();
        if (host.cursor !== null) host.show({ status: "polling", shared: false });
      },
      (cause) => refused(cause, fault),
    );
  }

  /** After a 401, retry once with a fresh credential. Other failures are temporary. */
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

  function poll(): void {
    const asked = Date.now();
    run(
      "polling",
      (signal) => caller.poll(host.cursor, settings.pollTimeout, refresh, signal),
      (answer, signal) => {
        take(answer, signal);
        if (signal.aborted) return;
        const isNews = answer.events.some(({ event }) => event !== "reset");
        if (isNews || Date.now() - asked > QUICK) return attempt();
        clearTimers();
        after(settings.minDelay, attempt);
      },
      (cause) => {
        failures += 1;
        refused(cause, { kind: "network" });
      },
    );
  }

  function take({ events, cursor }: PollAnswer, signal: AbortSignal): void {
    accepted();
    failures = 0;
    if (host.cursor === null) host.moveTo(cursor); // the first answer has no events, only the cursor
    if (host.getState().status !== "polling") host.show({ status: "polling", shared: false });
    for (const event of events) {
      if (signal.aborted) return;
      if (!isOurs(event)) return close("wrong-user");
      host.receive(event);
    }
    if (!signal.aborted) host.moveTo(cursor);
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

  /** A connection over a lost network, or from before a sleep, seems open until its silence is noticed. */
  function doubt(why: Wake): void {
    if (why === "offline") lost({ kind: "network" });
    else if (Date.now() - lastEventAt > settings.silence) lost({ kind: "silent" });
  }

  function retry(): void {
    // The user may have signed in since: a refusal of the present attempt is not final.
    refusals = 0;
    refresh = true;
    streamAt = 0; // another network, or a request of the page: a stream may work now
    if (phase === "closed") open();
    else if (phase === "waiting" || phase === "polling") attempt();
  }

  function close(reason: ClosedReason, detail?: string): void {
    begin("closed");
    host.show({ status: "closed", reason, ...(detail && { detail }) });
  }

  /** Begin an attempt. What comes of `work` counts only while no other attempt has begun; `null`: it took too long. */
  async function run<Result>(
    next: "trying" | "polling",
    work: (signal: AbortSignal) => Promise<Result>,
    done: (result: Result, signal: AbortSignal) => void,
    failed: (cause: unknown) => void,
  ): Promise<void> {
    const { signal } = begin(next);
    const isPoll = next === "polling";
    after(settings.connectTimeout + (isPoll ? settings.pollTimeout : 0), () => failed(null));
    if (!isPoll && !blocked) showAttempt(null);
    if (signal.aborted) return;
    try {
      const result = await work(signal);
      if (!signal.aborted) done(result, signal);
    } catch (cause) {
      if (!signal.aborted) failed(cause);
    }
  }

  /** End the present attempt, so that there are never two. */
  function begin(next: Phase): AbortController {
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
