"use client";
import { useCallback, useSyncExternalStore } from "react";
import type { Notification } from "../events.js";

/** Whether notifications may be shown on the desktop; `default` means that the user was not asked yet. */
export type DesktopPermission = NotificationPermission | "unsupported";

const listeners = new Set<() => void>();

/**
 * Show one on the desktop, if the user has permitted it.
 *
 * Each is shown once, however many tabs ask: its id is its tag. Clicking it brings this page to the front.
 *
 * @returns whether it was shown.
 */
export function showOnDesktop({ id, title, message }: Notification): boolean {
  if (permission() !== "granted") return false;
  try {
    const shown = new globalThis.Notification(title, { body: message, tag: `shirase-${id}` });
    shown.onclick = () => {
      window.focus();
      shown.close();
    };
    return true;
  } catch {
    return false; // some phones have it only in service workers
  }
}

/**
 * Whether the desktop may be used, and how to ask for it.
 *
 * Call `request` in the handler of a click or a key: without a gesture of the user it does not ask, since browsers
 * count that against a site, and people answer no.
 */
export function useDesktopNotifications(): {
  permission: DesktopPermission;
  request: () => Promise<DesktopPermission>;
} {
  const current = useSyncExternalStore<DesktopPermission>(followPermission, permission, () => "unsupported");
  const request = useCallback(async () => {
    if (permission() !== "default" || navigator.userActivation?.isActive === false) return permission();
    await globalThis.Notification.requestPermission();
    for (const listener of listeners) listener();
    return permission();
  }, []);
  return { permission: current, request };
}

function permission(): DesktopPermission {
  return globalThis.Notification?.permission ?? "unsupported";
}

function followPermission(listener: () => void): () => void {
  listeners.add(listener);
  // It changes behind the page's back too, in the browser's settings.
  let status: PermissionStatus | null = null;
  navigator.permissions?.query({ name: "notifications" }).then(
    (found) => {
      if (!listeners.has(listener)) return;
      status = found;
      status.addEventListener("change", listener);
    },
    () => {}, // a browser that does not know the name; then it is heard of at the next render
  );
  return () => {
    listeners.delete(listener);
    status?.removeEventListener("change", listener);
  };
}
