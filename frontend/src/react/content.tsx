"use client";
import type { ReactNode } from "react";
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
}

/** What a notification says. Whatever a producer wrote is text, never markup, and has its own direction. */
export function Content({ notification, isHidden, title, below }: ContentProps): ReactNode {
  const { type, message, is_read, created_at } = notification;
  const { labels, locale } = useProvided();
  return (
    <article className="shirase-content" aria-hidden={isHidden}>
      <h3 className="shirase-title" dir="auto">
        {/* With a direction of its own, so that it does not decide the title's. */}
        {!is_read && (
          <span className="shirase-hidden" dir="auto">
            {labels.unreadMark}:{" "}
          </span>
        )}
        {title}
      </h3>
      {message && <Message text={message} about={notification.title} />}
      <p className="shirase-meta">
        <RelativeTime at={created_at} locale={locale} />
        <span className="shirase-type" dir="auto">
          {type}
        </span>
      </p>
      {below}
    </article>
  );
}
