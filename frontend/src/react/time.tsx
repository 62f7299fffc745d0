"use client";
import { type ReactNode, useMemo, useSyncExternalStore } from "react";

const TICK = 15_000; // milliseconds between two looks at the clock; it asks no server
const UNITS = [
  ["year", 365 * 86_400],
  ["month", 30 * 86_400],
  ["week", 7 * 86_400],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

/** How long ago it was, kept true. On the server it is empty: the reader's clock and language are not known there. */
export function RelativeTime({ at, locale }: { at: string; locale: string | undefined }): ReactNode {
  const now = useSyncExternalStore(followClock, readClock, () => null);
  const formats = useMemo(
    () => ({
      relative: new Intl.RelativeTimeFormat(locale, { numeric: "auto" }),
      absolute: new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" }),
    }),
    [locale],
  );
  if (now === null) return <time dateTime={at} />;
  return (
    <time dateTime={at} title={formats.absolute.format(new Date(at))}>
      {describe(Math.max(0, (now - Date.parse(at)) / 1_000), formats.relative)}
    </time>
  );
}

function describe(seconds: number, format: Intl.RelativeTimeFormat): string {
  for (const [unit, length] of UNITS) {
    if (seconds >= length) return format.format(-Math.floor(seconds / length), unit);
  }
  return format.format(0, "second"); // "now"
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
