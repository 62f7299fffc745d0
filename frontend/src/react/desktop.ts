"use client";
import { useCallback, useSyncExternalStore } from "react";
import { safeLink } from "../display/index.js";
import { goTo, type Navigate } from "./navigate.js";

/** Whether notifications may be shown on the desktop; `default` means that the user was not asked yet. */
export type DesktopPermission = NotificationPermission | "unsupported";

const listeners = new Set<() => void>();

/** What can be shown on the desktop: a notification, or words of the page's own. */
export interface DesktopMessage {
  title: string;
  message?: string | undefined;
  /** A picture: a relative, `http` or `https` address. */
  icon?: string | null | undefined;
  /** Where a click leads: an address of the same kinds. By default the payload's `url`. */
  url?: string | null | undefined;
  payload?: Record<string, unknown> | undefined;
  /** Of two with the same id the later replaces the earlier, in all tabs. */
  id?: number | undefined;
}

/**
 * Show something on the desktop, if the user has permitted it.
 *
 * A notification is shown once, however many tabs ask: its id is its tag. A click brings this page to the front, and
 * opens the `url` if there is a safe one.
 *
 * @returns whether it was shown.
 */
export function showOnDesktop(shown: DesktopMessage, navigate?: Navigate): boolean {
  if (permission() !== "granted") return false;
  const { title, message = "", id } = shown;
  const icon = safeLink(shown.icon);
  const address = safeLink(shown.url ?? shown.payload?.["url"]);
  try {
    const note = new globalThis.Notification(title, {
      body: message,
      ...(id !== undefined && { tag: `shirase-${id}` }),
      ...(icon !== undefined && { icon }),
    });
    note.onclick = () => {
      window.focus();
      note.close();
      if (address !== undefined) goTo(address, navigate);
    };
    return true;
  } catch {
    return false; // some phones have it only in service workers
  }
}

/**
 * The permission for desktop notifications, and how to request it.
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
    (permission) => {
      if (!listeners.has(listener)) return;
      status = permission;
      status.addEventListener("change", listener);
    },
    () => {}, // a browser that does not know the name: the change shows at the next render
  );
  return () => {
    listeners.delete(listener);
    status?.removeEventListener("change", listener);
  };
}
