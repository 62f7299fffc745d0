import type { ReactNode } from "react";
import { useDesktopNotifications } from "shirase/react";

/** Asks for the desktop when it is clicked, and never before. */
export function DesktopSwitch(): ReactNode {
  const { permission, request } = useDesktopNotifications();
  if (permission !== "default") return null;
  return (
    <button type="button" className="quiet" onClick={request}>
      Desktop alerts
    </button>
  );
}
