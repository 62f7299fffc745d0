"use client";
import type { ReactNode } from "react";
import { safeLink } from "../display/index.js";
import type { Notification } from "../events.js";
import { useProvided } from "./context.js";
import { Message } from "./message.js";
import { RelativeTime } from "./time.js";

interface ContentProps {
  notification: Notification;
  isHidden: boolean;
  /** The title, as it can be chosen. */
  title: ReactNode;
  /** What the page shows below the message. */
  below: ReactNode;
  /** One of its buttons was pressed. */
  onAct: () => void;
}

/** A notification's texts. What a producer wrote is text, never markup, and has its own direction. */
export function Content({ notification, isHidden, title, below, onAct }: ContentProps): ReactNode {
  const { type, message, is_read, priority, count, actors, actions, updated_at } = notification;
  const { labels, locale } = useProvided();
  const marks = [...(is_read ? [] : [labels.unreadMark]), ...(priority === "high" ? [labels.important] : [])];
  return (
    <article className="shirase-content" aria-hidden={isHidden}>
      <h3 className="shirase-title" dir="auto">
        {/* With a direction of its own, so that it does not decide the title's. */}
        {marks.length > 0 && (
          <span className="shirase-hidden" dir="auto">
            {marks.join(", ")}:{" "}
          </span>
        )}
        {title}
      </h3>
      {count > 1 && (
        <p className="shirase-actors" dir="auto">
          {actors.length > 0
            ? labels.actors(
                actors.map(({ name }) => name),
                count,
              )
            : `×${count}`}
        </p>
      )}
      {message && <Message text={message} about={notification.title} />}
      <Links actions={actions} isHidden={isHidden} onAct={onAct} />
      {below}
      <p className="shirase-meta">
        <RelativeTime at={updated_at} locale={locale} />
        <span className="shirase-type" dir="auto">
          {type}
        </span>
      </p>
    </article>
  );
}

/** The buttons of a notification: links, of those addresses that are safe. */
function Links({
  actions,
  isHidden,
  onAct,
}: Pick<Notification, "actions"> & Omit<ContentProps, "notification" | "title" | "below">) {
  const safe = actions.filter(({ url }) => safeLink(url));
  if (safe.length === 0 || isHidden) return null;
  return (
    <p className="shirase-links">
      {safe.map(({ label, url, primary = false }) => (
        <a
          key={label + url}
          className="shirase-button shirase-act"
          data-primary={primary}
          href={url}
          rel="noopener noreferrer"
          dir="auto"
          onClick={onAct}
        >
          {label}
        </a>
      ))}
    </p>
  );
}
