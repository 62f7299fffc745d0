"use client";
import { type ReactNode, useId, useState } from "react";
import type { Notification } from "../events.js";
import { classNames } from "./class-names.js";
import { useProvided } from "./context.js";
import { type Notifications, useNotifications } from "./hooks.js";
import { Icon } from "./icon.js";
import { NotificationItem } from "./item.js";
import { useKeptFocus } from "./use-kept-focus.js";

/** What `NotificationList` takes. */
export interface NotificationListProps {
  className?: string;
  /** What to show below a notification's message. Nothing by default. */
  children?: (notification: Notification) => ReactNode;
  /** Where a notification leads; `payload.url` by default. Only `http`, `https` and relative addresses become links. */
  linkTo?: (notification: Notification) => unknown;
  /** A title was chosen. It is marked read too. Prevent the event's default to stay on the page. */
  onSelect?: (notification: Notification, event: React.MouseEvent) => void;
}

/** The user's notifications, newest first, with what can be done to each. */
export function NotificationList({ className, ...item }: NotificationListProps): ReactNode {
  const { labels } = useProvided();
  const inbox = useNotifications();
  const { notifications, status, unreadCount, hasMore, isLoadingMore } = inbox;
  const [refused, setRefused] = useState<{ again: () => Promise<void> } | null>(null);
  const titleId = useId();
  const focus = useKeptFocus<HTMLElement>(notifications);
  const newestBefore = useNewestBefore(inbox);

  /** Do what was asked for. If the service refuses, offer to ask again. */
  const attempt = async (action: () => Promise<void>) => {
    setRefused(null);
    try {
      await action();
    } catch {
      setRefused({ again: action });
    }
  };
  const markAllAsRead = () => unreadCount !== 0 && attempt(inbox.markAllAsRead);

  return (
    <section
      className={classNames("shirase-list", className)}
      aria-labelledby={titleId}
      aria-busy={status === "loading"}
    >
      <header className="shirase-list-head">
        <h2 id={titleId} tabIndex={-1} ref={focus.fallback}>
          {labels.notifications}
        </h2>
        {/* Not disabled, which would lose the focus that it has after a click. */}
        <button type="button" className="shirase-button" aria-disabled={!unreadCount} onClick={markAllAsRead}>
          {labels.markAllAsRead}
        </button>
      </header>
      {refused && <Problem text={labels.notSaved} tryAgain={() => attempt(refused.again)} />}
      {status === "failed" && <Problem text={labels.notLoaded} tryAgain={() => attempt(inbox.refreshNotifications)} />}
      {/* Safari takes a list without bullets for none, unless it is told. */}
      {/* biome-ignore lint/a11y/noRedundantRoles: see above */}
      <ul role="list" className="shirase-items" {...focus.handlers}>
        {notifications.map((notification) => (
          <NotificationItem
            key={notification.id}
            notification={notification}
            isFresh={notification.id > newestBefore}
            markAsRead={() => attempt(() => inbox.markAsRead(notification.id))}
            remove={() => attempt(() => inbox.remove(notification.id))}
            {...item}
          />
        ))}
      </ul>
      {status === "loading" && <p className="shirase-note">{labels.loading}</p>}
      {status === "ready" && notifications.length === 0 && (
        <div className="shirase-empty">
          <Icon of="bell" />
          <strong>{labels.empty}</strong>
          <span>{labels.emptyHint}</span>
        </div>
      )}
      {hasMore && (
        <button
          type="button"
          className="shirase-button shirase-more"
          aria-disabled={isLoadingMore}
          onClick={() => attempt(inbox.loadMore)}
        >
          {isLoadingMore ? labels.loading : labels.loadMore}
        </button>
      )}
    </section>
  );
}

/** The newest that was there when the list was first seen: what is newer arrived before the user's eyes. */
function useNewestBefore({ status, notifications }: Notifications): number {
  const [newest, setNewest] = useState(Number.POSITIVE_INFINITY);
  if (status === "loading" && newest < Number.POSITIVE_INFINITY) setNewest(Number.POSITIVE_INFINITY);
  if (status === "ready" && newest === Number.POSITIVE_INFINITY) setNewest(notifications[0]?.id ?? 0);
  return newest;
}

function Problem({ text, tryAgain }: { text: string; tryAgain: () => void }): ReactNode {
  const { labels } = useProvided();
  return (
    <div role="alert" className="shirase-problem">
      <p>{text}</p>
      <button type="button" className="shirase-button" onClick={tryAgain}>
        {labels.tryAgain}
      </button>
    </div>
  );
}
