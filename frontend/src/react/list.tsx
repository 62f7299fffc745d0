"use client";
import { type ReactNode, useId, useState } from "react";
import type { Notification } from "../events.js";
import { classNames } from "./class-names.js";
import { useProvided } from "./context.js";
import { type Notifications, useNotifications, useSignedOut } from "./hooks.js";
import { NotificationItem } from "./item.js";
import { Problem, SignedOut, Vacant } from "./notices.js";
import { useKeptFocus } from "./use-kept-focus.js";
import { useRows } from "./use-rows.js";

/** What `NotificationList` takes. */
export interface NotificationListProps {
  className?: string;
  /** What to show below a notification's message. Nothing by default. */
  children?: (notification: Notification) => ReactNode;
  /** Where a notification leads; its `url`, or its payload's, by default. Only `http`, `https` and relative addresses become links. */
  linkTo?: (notification: Notification) => unknown;
  /** A title was chosen. It is marked read too. Prevent the event's default to stay on the page. */
  onSelect?: (notification: Notification, event: React.MouseEvent) => void;
}

/**
 * The user's notifications, newest first, with what can be done to each.
 *
 * Nothing in it moves while the pointer is over it, or the focus in its rows: what arrives meanwhile waits.
 */
export function NotificationList({ className, ...item }: NotificationListProps): ReactNode {
  const { labels } = useProvided();
  const inbox = useNotifications();
  const isSignedOut = useSignedOut();
  const { status, unreadCount, hasMore, isLoadingMore } = inbox;
  const { rows, waiting, ...list } = useRows(inbox);
  const [refused, setRefused] = useState<{ again: () => Promise<void> } | null>(null);
  const titleId = useId();
  const focus = useKeptFocus<HTMLElement>(rows);
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
      aria-busy={status === "loading" && !isSignedOut}
      {...list.holdHandlers}
    >
      <header className="shirase-list-head">
        <h2 id={titleId} className="shirase-list-title" tabIndex={-1} ref={focus.fallback}>
          {labels.notifications}
        </h2>
        {waiting > 0 && !isSignedOut && (
          <button type="button" className="shirase-button shirase-waiting" onClick={list.showWaiting}>
            {labels.waiting(waiting)}
          </button>
        )}
        {/* Not disabled, which would lose the focus that it has after a click. */}
        {!isSignedOut && (
          <button type="button" className="shirase-button" aria-disabled={!unreadCount} onClick={markAllAsRead}>
            {labels.markAllAsRead}
          </button>
        )}
      </header>
      {isSignedOut ? (
        <SignedOut />
      ) : (
        <>
          {/* Safari takes a list without bullets for none, unless it is told. */}
          {/* biome-ignore lint/a11y/noRedundantRoles: see above */}
          <ul role="list" className="shirase-items" {...focus.handlers}>
            {rows.map(({ notification, state }) => (
              <NotificationItem
                key={notification.id}
                notification={notification}
                state={state}
                isFresh={notification.id > newestBefore}
                markAsRead={() => attempt(() => inbox.markAsRead(notification.id))}
                remove={() => attempt(() => list.remove(notification.id))}
                restore={() => list.restore(notification.id)}
                {...item}
              />
            ))}
          </ul>
          {status === "loading" && <p className="shirase-note">{labels.loading}</p>}
          {status === "ready" && rows.length === 0 && <Vacant title={labels.empty} hint={labels.emptyHint} />}
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
          {refused && <Problem text={labels.notSaved} tryAgain={() => attempt(refused.again)} />}
          {status === "failed" && (
            <Problem text={labels.notLoaded} tryAgain={() => attempt(inbox.refreshNotifications)} />
          )}
        </>
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
