"use client";
import { type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ENGLISH, type Labels } from "../display/index.js";
import type { Notification } from "../events.js";
import { firstSnapshot } from "../inbox/initial.js";
import { type Client, NotificationsContext } from "./context.js";
import { showOnDesktop } from "./desktop.js";
import { type Navigate, useNavigate } from "./navigate.js";
import { type ClientOptions, useClient } from "./use-client.js";
import { useInitial } from "./use-initial.js";

const BURST = 400; // milliseconds in which those that arrive are announced as one
const RECENT = 60_000; // older ones were missed, not new: they do not come up on the desktop

/** What `NotificationsProvider` takes: all that a stream and an inbox take, and how to speak to the user. */
export interface NotificationsProviderProps extends ClientOptions {
  children?: ReactNode;
  /** Words to use instead of the English ones. */
  labels?: Partial<Labels>;
  /** The language of times, such as `de` or `ja-JP`. The browser's by default. */
  locale?: string;
  /**
   * Signs the user in: called when somebody who is signed out asks for it. When what it returns has come to pass, a
   * stream that was closed is opened again.
   */
  onSignIn?: () => unknown;
  /** Whether screen readers are told of what arrives. `true`. */
  announce?: boolean;
  /** Whether what arrives while the page is hidden comes up on the desktop, if the user has permitted it. `false`. */
  desktop?: boolean;
  /**
   * Follows the components' links within the page's origin, such as `router.push`. Without it the browser does. On the
   * desktop it follows clicks too.
   */
  navigate?: Navigate;
}

/**
 * Opens the stream of one user and keeps their notifications for everything below it.
 *
 * With another `user` the former stream is closed and nothing of the former user's is left; `user={null}` opens none.
 */
export function NotificationsProvider(props: NotificationsProviderProps): ReactNode {
  const {
    children,
    labels,
    locale,
    onSignIn,
    announce = true,
    desktop = false,
    navigate: followedBy,
    ...options
  } = props;
  const initial = useInitial(options);
  const client = useClient(options, initial);
  const { pageSize } = options;
  const first = useMemo(() => initial && firstSnapshot(initial, pageSize), [initial, pageSize]);
  const navigate = useNavigate(followedBy);
  const words = useMemo(() => ({ ...ENGLISH, ...labels }), [labels]);
  const isSignedOut = options.user === null;
  const signIn = useSignIn(onSignIn, client);
  const provided = useMemo(
    () => ({ client, first, navigate, isSignedOut, signIn, labels: words, locale }),
    [client, first, navigate, isSignedOut, signIn, words, locale],
  );
  useEffect(() => {
    if (!client || !desktop) return;
    return client.stream.on("notification", (notification) => {
      if (document.hidden && isRecent(notification)) showOnDesktop(notification, navigate);
    });
  }, [client, desktop, navigate]);
  return (
    <NotificationsContext.Provider value={provided}>
      {children}
      {announce && client && <Announcer client={client} arrived={words.arrived} />}
    </NotificationsContext.Provider>
  );
}

/** Stays the same function while the client does, though `onSignIn` may be a new one at each render. */
function useSignIn(onSignIn: (() => unknown) | undefined, client: Client | null): (() => void) | undefined {
  const latest = useRef(onSignIn);
  useEffect(() => {
    latest.current = onSignIn;
  });
  const signIn = useCallback(async () => {
    await latest.current?.();
    client?.stream.retryNow();
    client?.inbox.refresh().catch(() => {}); // its snapshot has the error
  }, [client]);
  return onSignIn && signIn;
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
