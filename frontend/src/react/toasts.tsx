"use client";
import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from "react";
import type { Notification } from "../events.js";
import { classNames } from "./class-names.js";
import { useProvided } from "./context.js";
import { useNotifications } from "./hooks.js";
import { useArrivals } from "./use-arrivals.js";

/** What `NotificationToasts` takes. */
export interface NotificationToastsProps {
  className?: string | undefined;
  /** How many are shown at a time; the others wait. 3. */
  limit?: number | undefined;
  /** How long each stays, in milliseconds; one of high priority stays until it is dismissed. 6,000. */
  duration?: number | undefined;
}

/**
 * What arrives, at the edge of the window, one above the other.
 *
 * While the pointer is over them, the focus in them or the page hidden, they stay. One that is read, archived or deleted
 * meanwhile, on whatever device, goes. The provider announces it to screen readers, once.
 */
export function NotificationToasts({ className, limit = 3, duration = 6_000 }: NotificationToastsProps): ReactNode {
  const { labels, parts } = useProvided();
  const { notifications, markAsRead } = useNotifications();
  const [arrived, setArrived] = useState<readonly number[]>([]);
  const [isPaused, setPaused] = useState(false);
  const all = useRef<HTMLUListElement>(null);
  useArrivals(({ id }) => setArrived((before) => [...before.filter((shownId) => shownId !== id), id]));

  const current = new Map(notifications.map((notification) => [notification.id, notification]));
  const shown = arrived
    .flatMap((id) => current.get(id) ?? [])
    .filter(({ is_read }) => !is_read)
    .slice(0, limit);
  const dismiss = (id: number) => setArrived((before) => before.filter((shownId) => shownId !== id));
  const passing = shown.filter(({ priority }) => priority !== "high").map(({ id }) => id);
  useLeaving(passing, isPaused ? Number.POSITIVE_INFINITY : duration, dismiss);
  const isShown = shown.length > 0;
  useEffect(() => {
    if (isShown) all.current?.showPopover?.();
  }, [isShown]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    const focused = (event.target as Element).closest<HTMLElement>("[data-id]");
    dismiss(Number(focused?.dataset["id"]));
    setPaused(false);
  };

  if (!isShown) return null;
  return (
    <ul
      ref={all}
      className={classNames("shirase-toasts", className)}
      aria-label={labels.notifications}
      popover="manual"
      onKeyDown={onKeyDown}
      onPointerEnter={() => setPaused(true)}
      onPointerLeave={() => setPaused(false)}
      onFocus={() => setPaused(true)}
      onBlur={() => setPaused(false)}
    >
      {shown.map((notification: Notification) => (
        <parts.Toast
          key={notification.id}
          notification={notification}
          dismiss={() => {
            dismiss(notification.id);
            setPaused(false);
          }}
          select={() => markAsRead(notification.id).catch(() => {})}
        />
      ))}
    </ul>
  );
}

/** Dismisses each after its time, which begins when it is shown, and anew when the page or the pointer lets go. */
function useLeaving(ids: readonly number[], duration: number, dismiss: (id: number) => void): void {
  const latest = useRef(dismiss);
  const timers = useRef(new Map<number, ReturnType<typeof setTimeout>>());
  useEffect(() => {
    latest.current = dismiss;
  });
  const isHidden = useHidden();
  const expiring = isHidden || duration === Number.POSITIVE_INFINITY ? "" : ids.join();
  useEffect(() => {
    const kept = new Set(expiring.split(",").filter(Boolean).map(Number));
    for (const [id, timer] of timers.current) {
      if (kept.has(id)) continue;
      clearTimeout(timer);
      timers.current.delete(id);
    }
    for (const id of kept) {
      if (!timers.current.has(id))
        timers.current.set(
          id,
          setTimeout(() => latest.current(id), duration),
        );
    }
  }, [expiring, duration]);
  useEffect(() => () => timers.current.forEach(clearTimeout), []);
}

function useHidden(): boolean {
  const [isHidden, setHidden] = useState(false);
  useEffect(() => {
    const update = () => setHidden(document.hidden);
    update();
    document.addEventListener("visibilitychange", update);
    return () => document.removeEventListener("visibilitychange", update);
  }, []);
  return isHidden;
}
