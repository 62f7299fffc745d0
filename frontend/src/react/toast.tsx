"use client";
import type { ReactNode } from "react";
import { safeLink } from "../display/index.js";
import type { Notification } from "../events.js";
import { useProvided } from "./context.js";
import { Icon } from "./icon.js";
import { ownUrl } from "./item.js";

/** What `Toast` of the parts takes. */
export interface NotificationToastProps {
  notification: Notification;
  /** Dismiss it. */
  dismiss: () => void;
  /** Its title was chosen. */
  select: () => void;
}

/** One that has just arrived. Escape dismisses it too, while the focus is in it. */
export function Toast({ notification, dismiss, select }: NotificationToastProps): ReactNode {
  const { title, message, priority } = notification;
  const { labels, parts } = useProvided();
  const address = safeLink(ownUrl(notification));
  return (
    <li className="shirase-toast" data-id={notification.id} data-priority={priority}>
      <parts.Avatar notification={notification} />
      <div className="shirase-content">
        <p className="shirase-title" dir="auto">
          {address === undefined ? (
            title
          ) : (
            <a className="shirase-link" href={address} rel="noopener noreferrer" onClick={select}>
              {title}
            </a>
          )}
        </p>
        {message && (
          <p className="shirase-message" dir="auto">
            {message}
          </p>
        )}
      </div>
      <button type="button" className="shirase-action" aria-label={`${labels.dismiss}: ${title}`} onClick={dismiss}>
        <Icon of="cross" />
      </button>
    </li>
  );
}
