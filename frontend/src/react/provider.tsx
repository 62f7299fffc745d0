"use client";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import type { Notification } from "../events.js";
import { type Client, NotificationsContext } from "./context.js";
import { showOnDesktop } from "./desktop.js";
import { ENGLISH, type Labels } from "./labels.js";
import { type ClientOptions, useClient } from "./use-client.js";

const BURST = 400; // milliseconds in which those that arrive are announced as one
const RECENT = 60_000; // older ones were missed, not new: they do not come up on the desktop

/** What `NotificationsProvider` takes: all that a stream and an inbox take, and how to speak to the user. */
export interface NotificationsProviderProps extends ClientOptions {
  children?: ReactNode;
  /** Words to use instead of the English ones. */
  labels?: Partial<Labels>;
  /** The language of times, such as `de` or `ja-JP`. The browser's by default. */
  locale?: string;
  /** Whether screen readers are told of what arrives. `true`. */
  announce?: boolean;
  /** Whether what arrives while the page is hidden comes up on the desktop, if the user has permitted it. `false`. */
  desktop?: boolean;
}

/**
 * Opens the stream of one user and keeps their notifications for everything below it.
 *
 * With another `user` the former stream is closed and nothing of the former user's is left; `user={null}` opens none.
 */
export function NotificationsProvider(props: NotificationsProviderProps): ReactNode {
  const { children, labels, locale, announce = true, desktop = false, ...options } = props;
  const client = useClient(options);
  const words = useMemo(() => ({ ...ENGLISH, ...labels }), [labels]);
  const provided = useMemo(() => ({ client, labels: words, locale }), [client, words, locale]);
  useEffect(() => {
    if (!client || !desktop) return;
    return client.stream.on("notification", (notification) => {
      if (document.hidden && isRecent(notification)) showOnDesktop(notification);
    });
  }, [client, desktop]);
  return (
    <NotificationsContext.Provider value={provided}>
      {children}
      {announce && client && <Announcer client={client} arrived={words.arrived} />}
    </NotificationsContext.Provider>
  );
}

/** One region for screen readers: what has arrived, politely, and a burst in one sentence. */
function Announcer({ client, arrived }: { client: Client; arrived: Labels["arrived"] }): ReactNode {
  const [text, setText] = useState("");
  useEffect(() => {
    let waiting: Notification[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const say = () => {
      const notifications = waiting;
      waiting = [];
      timer = undefined;
      setText(arrived(notifications, client.inbox.getSnapshot().unreadCount));
    };
    const stop = client.stream.on("notification", (notification) => {
      waiting.push(notification);
      timer ??= setTimeout(say, BURST);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [client, arrived]);
  return (
    <div role="status" className="shirase-hidden shirase-announcer">
      {text}
    </div>
  );
}

function isRecent({ created_at }: Notification): boolean {
  return Date.now() - Date.parse(created_at) < RECENT;
}
