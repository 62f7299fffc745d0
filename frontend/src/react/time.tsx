"use client";
import { type ReactNode, useMemo, useSyncExternalStore } from "react";
import { relativeTime } from "../display/index.js";

const TICK = 15_000; // milliseconds between two updates; they send no request

/** How long ago it was, kept true. On the server it is empty: the reader's clock and language are not known there. */
export function RelativeTime({ at, locale }: { at: string; locale: string | undefined }): ReactNode {
  const now = useNow();
  const format = useMemo(() => new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" }), [locale]);
  if (now === null) return <time className="shirase-time" dateTime={at} />;
  return (
    <time className="shirase-time" dateTime={at} title={format.format(new Date(at))}>
      {relativeTime(at, locale, now)}
    </time>
  );
}

/** The time as of the last step; `null` on a server. */
export function useNow(): number | null {
  return useSyncExternalStore(followClock, readClock, () => null);
}

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

/** The time, in steps, so that it is the same for all that are drawn together. */
function readClock(): number {
  return Math.ceil(Date.now() / TICK) * TICK;
}

function followClock(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    for (const each of listeners) each();
  }, TICK);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}
