"use client";
import type { MouseEvent, ReactNode } from "react";
import type { Notification } from "../events.js";
import { useProvided } from "./context.js";
import { Icon } from "./icon.js";
import { safeLink } from "./link.js";
import type { NotificationListProps } from "./list.js";
import { RelativeTime } from "./time.js";

interface NotificationItemProps extends Pick<NotificationListProps, "children" | "linkTo" | "onSelect"> {
  notification: Notification;
  /** It arrived while the list was shown. */
  isFresh: boolean;
  markAsRead: () => void;
  remove: () => void;
}

/** One notification. Whatever a producer wrote is text, never markup. */
export function NotificationItem(props: NotificationItemProps): ReactNode {
  const { notification, isFresh, markAsRead, remove, children } = props;
  const { id, type, title, message, is_read, created_at } = notification;
  const { labels, locale } = useProvided();
  return (
    <li className="shirase-item" data-id={id} data-type={type} data-read={is_read} data-fresh={isFresh}>
      <article>
        <h3 className="shirase-title">
          {!is_read && <span className="shirase-hidden">{labels.unreadMark}: </span>}
          <Title {...props} />
        </h3>
        {message && <p className="shirase-message">{message}</p>}
        <p className="shirase-meta">
          <RelativeTime at={created_at} locale={locale} />
          <span className="shirase-type">{type}</span>
        </p>
        {children?.(notification)}
      </article>
      <div className="shirase-actions">
        {!is_read && (
          <button
            type="button"
            className="shirase-action"
            title={labels.markAsRead}
            aria-label={`${labels.markAsRead}: ${title}`}
            onClick={markAsRead}
          >
            <Icon of="check" />
          </button>
        )}
        <button
          type="button"
          className="shirase-action"
          data-keeps-focus=""
          title={labels.remove}
          aria-label={`${labels.remove}: ${title}`}
          onClick={remove}
        >
          <Icon of="bin" />
        </button>
      </div>
    </li>
  );
}

/** A link if there is a safe address, a button if somebody wants to know of a choice, and otherwise text. */
function Title({ notification, markAsRead, linkTo = payloadUrl, onSelect }: NotificationItemProps): ReactNode {
  const address = safeLink(linkTo(notification));
  const select = (event: MouseEvent) => {
    if (!notification.is_read) markAsRead();
    onSelect?.(notification, event);
  };
  if (address !== undefined) {
    return (
      <a href={address} rel="noopener noreferrer" onClick={select}>
        {notification.title}
      </a>
    );
  }
  if (!onSelect) return notification.title;
  return (
    <button type="button" className="shirase-choice" onClick={select}>
      {notification.title}
    </button>
  );
}

function payloadUrl({ payload }: Notification): unknown {
  return payload["url"];
}
