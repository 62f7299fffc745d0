"use client";
import { useEffect, useRef } from "react";
import type { Notification } from "../events.js";
import { useProvided } from "./context.js";

const RECENT = 60_000; // milliseconds; older ones were missed, not new

/** Calls `onArrival` with each notification that arrives now or rises to the top again, not with missed ones. */
export function useArrivals(onArrival: (notification: Notification) => void): void {
  const { client } = useProvided();
  const latest = useRef(onArrival);
  useEffect(() => {
    latest.current = onArrival;
  });
  useEffect(() => {
    if (!client) return;
    const places = new Map<number, number>();
    const receive = (notification: Notification) => {
      const isRising = notification.position > (places.get(notification.id) ?? 0);
      places.set(notification.id, notification.position);
      if (isRising && isNew(notification)) latest.current(notification);
    };
    const ends = [client.stream.on("notification", receive), client.stream.on("updated", receive)];
    return () => {
      for (const end of ends) end();
    };
  }, [client]);
}

/** Whether it came to the top just now, and nobody has read it. */
export function isNew({ is_read, archived_at, updated_at }: Notification): boolean {
  return !is_read && archived_at === null && Date.now() - Date.parse(updated_at) < RECENT;
}
