"use client";
import { Fragment, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { dayOf } from "../display/index.js";
import type { Row } from "../display/steady-rows.js";
import type { Notification } from "../events.js";
import { classNames } from "./class-names.js";
import { useProvided } from "./context.js";
import { type Notifications, useNotifications, useSignedOut } from "./hooks.js";
import { Problem } from "./notices.js";
import { type NotificationTab, TABS } from "./tabs.js";
import { useNow } from "./time.js";
import { useKeptFocus } from "./use-kept-focus.js";
import { useRows } from "./use-rows.js";

/** What `NotificationList` takes. */
export interface NotificationListProps {
  className?: string | undefined;
  /** What to show below a notification's message. Nothing by default. */
  children?: ((notification: Notification) => ReactNode) | undefined;
  /** Where a notification leads; its `url`, or its payload's, by default. Only `http`, `https` and relative addresses become links. */
  linkTo?: ((notification: Notification) => unknown) | undefined;
  /** A title was chosen. It is marked read too. Prevent the event's default to stay on the page. */
  onSelect?: ((notification: Notification, event: React.MouseEvent) => void) | undefined;
  /** The tabs above the list: all, unread and archived by default. With less than two there are none. */
  tabs?: readonly NotificationTab[] | undefined;
  /** Whether there is a field to search in titles and messages. `false`. */
  search?: boolean | undefined;
  /** Mutes a notification's type, for a button in each row: `useMute()` of `shirase/react/preferences`. */
  mute?: ((notification: Notification) => Promise<void>) | undefined;
}

const NONE: NotificationTab = {};
const NOTHING: readonly Notification[] = [];

/**
 * The user's notifications, newest first and by day, with what can be done to each.
 *
 * Nothing in it moves while the pointer is over it, or the focus in its rows: what arrives meanwhile waits.
 */
export function NotificationList({
  className,
  tabs = TABS,
  search = false,
  mute,
  ...item
}: NotificationListProps): ReactNode {
  const { labels, locale, parts } = useProvided();
  const [selected, select] = useState(0);
  const [words, setWords] = useState("");
  const isSignedOut = useSignedOut();
  const { label: _, ...filter } = tabs[selected] ?? tabs[0] ?? NONE;
  const byCategory = tabs.some(({ category }) => category !== undefined);
  const main = useNotifications();
  const inbox = useNotifications({
    ...filter,
    ...(words.trim() && { search: words }),
    ...(byCategory && { byCategory }),
  });
  const { status, unreadCount, hasMore, isLoadingMore } = inbox;
  const { rows, waiting, removals, ...list } = useRows(
    inbox,
    `${selected} ${words}`,
    filter.unread ? main.notifications : NOTHING,
  );
  const [refused, setRefused] = useState<{ again: () => Promise<void> } | null>(null);
  const [titleId, listId] = [useId(), useId()];
  const focus = useKeptFocus<HTMLElement>(rows);
  const newestBefore = useNewestBefore(main);
  const today = useNow();

  /** Perform a change. If the service refuses it, offer to retry. */
  const attempt = async (action: () => Promise<void>) => {
    setRefused(null);
    try {
      await action();
    } catch {
      setRefused({ again: action });
    }
  };
  const markAllAsRead = () => unreadCount !== 0 && attempt(inbox.markAllAsRead);
  const days = today === null ? [] : daysOf(rows, locale, today);
  const isBare = rows.length === 0;

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
        {!isSignedOut && !filter.archived && (
          <button type="button" className="shirase-button" aria-disabled={!unreadCount} onClick={markAllAsRead}>
            {labels.markAllAsRead}
          </button>
        )}
        {!isSignedOut && tabs.length > 1 && (
          <parts.Tabs tabs={tabs} selected={selected} select={select} counts={inbox} controls={listId} />
        )}
        {!isSignedOut && search && (
          <input
            type="search"
            className="shirase-search"
            value={words}
            aria-label={labels.search}
            placeholder={labels.search}
            onChange={({ target }) => setWords(target.value)}
          />
        )}
      </header>
      {isSignedOut ? (
        <parts.SignedOut />
      ) : (
        <>
          {/* Safari does not treat a list without bullets as a list, unless it has the role. */}
          {/* biome-ignore lint/a11y/noRedundantRoles: see above */}
          <ul id={listId} role="list" className="shirase-items" {...focus.handlers}>
            {rows.map(({ notification, state }, index) => (
              <Fragment key={notification.id}>
                {days[index] !== days[index - 1] && <parts.Day day={days[index] ?? ""} />}
                <parts.Item
                  notification={notification}
                  state={state}
                  removal={removals.get(notification.id)}
                  isFresh={notification.position > newestBefore}
                  markAsRead={() => attempt(() => inbox.markAsRead(notification.id))}
                  markAsUnread={() => attempt(() => inbox.markAsUnread(notification.id))}
                  archive={() => attempt(() => list.put(notification.id, "archived"))}
                  unarchive={() => attempt(() => list.put(notification.id, "unarchived"))}
                  mute={mute && (() => attempt(() => mute(notification)))}
                  remove={() => attempt(() => list.put(notification.id, "removed"))}
                  restore={() => attempt(() => list.restore(notification.id))}
                  {...item}
                />
              </Fragment>
            ))}
          </ul>
          {isBare && <Vacancy inbox={inbox} isSearch={Boolean(words.trim())} />}
          {hasMore && <More inbox={inbox} load={() => attempt(inbox.loadMore)} isLoading={isLoadingMore} />}
          {refused && <Problem text={labels.notSaved} tryAgain={() => attempt(refused.again)} />}
          {status === "failed" && !isBare && (
            <Problem text={labels.notLoaded} tryAgain={() => attempt(inbox.refreshNotifications)} />
          )}
        </>
      )}
    </section>
  );
}

/** In the place of rows that are not there. */
function Vacancy({ inbox, isSearch }: { inbox: Notifications; isSearch: boolean }): ReactNode {
  const { parts } = useProvided();
  if (inbox.status === "loading") return <parts.Loading />;
  if (inbox.status === "ready") return <parts.Empty isSearch={isSearch} />;
  return <parts.Failed tryAgain={() => inbox.refreshNotifications().catch(() => {})} />;
}

/** Loads older ones when it comes into sight, and when it is pressed. */
function More({ inbox, load, isLoading }: { inbox: Notifications; load: () => void; isLoading: boolean }): ReactNode {
  const { labels } = useProvided();
  const button = useRef<HTMLButtonElement>(null);
  const latest = useRef(load);
  const { length } = inbox.notifications;
  useEffect(() => {
    latest.current = load;
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: it may be in sight still when a page has come
  useEffect(() => {
    if (!button.current || isLoading || typeof IntersectionObserver === "undefined") return;
    const observer = new IntersectionObserver((seen) => {
      if (seen.some((entry) => entry.isIntersecting)) latest.current();
    });
    observer.observe(button.current);
    return () => observer.disconnect();
  }, [length]);
  return (
    <button ref={button} type="button" className="shirase-button shirase-more" aria-disabled={isLoading} onClick={load}>
      {isLoading ? labels.loading : labels.loadMore}
    </button>
  );
}

/** The day of each row. A later row is never of a later day, though its content may have changed since it rose. */
function daysOf(rows: readonly Row[], locale: string | undefined, now: number): string[] {
  let earliest = "9999";
  return rows.map(({ notification: { updated_at } }) => {
    if (updated_at < earliest) earliest = updated_at;
    return dayOf(earliest, locale, now);
  });
}

/** The highest place that was there when the list was first seen: what is above it arrived before the user's eyes. */
function useNewestBefore({ status, notifications }: Notifications): number {
  const [newest, setNewest] = useState(Number.POSITIVE_INFINITY);
  if (status === "loading" && newest < Number.POSITIVE_INFINITY) setNewest(Number.POSITIVE_INFINITY);
  if (status === "ready" && newest === Number.POSITIVE_INFINITY) setNewest(notifications[0]?.position ?? 0);
  return newest;
}
