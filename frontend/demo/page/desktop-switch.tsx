import type { ReactNode } from "react";
import { useDesktopNotifications } from "shirase/react";

/** Requests the permission for desktop notifications when it is clicked, never before. */
export function DesktopSwitch(): ReactNode {
  const { permission, request } = useDesktopNotifications();
  if (permission !== "default") return null;
  return (
    <button type="button" className="quiet" onClick={request}>
      Desktop alerts
    </button>
  );
}
