"use client";
import { type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Labels } from "../display/index.js";
import type { Notification } from "../events.js";
import type { Complete } from "../options.js";
import { type Client, NotificationsContext } from "./context.js";
import { showOnDesktop } from "./desktop.js";
import { firstSnapshot, pageOf } from "./initial.js";
import { type Navigate, useNavigate } from "./navigate.js";
import { type NotificationParts, PARTS } from "./parts.js";
import { isNew } from "./use-arrivals.js";
import { type ClientOptions, useClient } from "./use-client.js";
import { useInitial } from "./use-initial.js";
import { useFaviconDot, useSound, useTitleCount } from "./use-page-signs.js";
import { useWords } from "./use-words.js";

const BURST = 400; // milliseconds in which arrivals are announced together

/** What `NotificationsProvider` takes: all that a stream and an inbox take, and how to speak to the user. */
export interface NotificationsProviderProps extends ClientOptions {
  children?: ReactNode;
  /** Words to use instead of those of the language. */
  labels?: Partial<Labels> | undefined;
  /** The language of words and times, such as `de` or `ja-JP`. The page's by default, or the browser's. */
  locale?: string | undefined;
  /** Your own components in the place of any of ours. */
  parts?: Partial<NotificationParts> | undefined;
  /** Whether the unseen number stands before the page's title. `false`. */
  titleCount?: boolean | undefined;
  /** Whether the page's icon has a dot while something is unseen. `false`. */
  faviconDot?: boolean | undefined;
  /** Whether what arrives makes a sound, or the address of one; after the user's first gesture. `false`. */
  sound?: boolean | string | undefined;
  /**
   * Signs the user in: called when a signed-out user requests it. When the returned promise has resolved, a
   * stream that was closed is opened again.
   */
  onSignIn?: (() => unknown) | undefined;
  /** Whether arrivals are announced to screen readers. `true`. */
  announce?: boolean | undefined;
  /** Whether what arrives while the page is hidden comes up on the desktop, if the user has permitted it. `false`. */
  desktop?: boolean | undefined;
  /**
   * Follows the components' links within the page's origin, such as `router.push`. Without it the browser does. On the
   * desktop it follows clicks too.
   */
  navigate?: Navigate | undefined;
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
    locale: asked,
    onSignIn,
    announce = true,
    desktop = false,
    navigate: followedBy,
    parts: own,
    titleCount = false,
    faviconDot = false,
    sound = false,
    ...options
  } = props;
  const initial = useInitial(options);
  const client = useClient(options, initial);
  const { pageSize } = options;
  const first = useMemo(() => initial && firstSnapshot(pageOf(initial, pageSize)), [initial, pageSize]);
  const navigate = useNavigate(followedBy);
  const { labels: words, locale } = useWords(asked, labels);
  const parts = useMemo(() => ({ ...PARTS, ...own }), [own]);
  const isSignedOut = options.user === null;
  const signIn = useSignIn(onSignIn, client);
  const provided = useMemo(
    () => ({ client, first, navigate, isSignedOut, signIn, labels: words, locale, parts }),
    [client, first, navigate, isSignedOut, signIn, words, locale, parts],
  );
  useEffect(() => {
    if (!client || !desktop) return;
    return client.stream.on("notification", (notification) => {
      if (document.hidden && isNew(notification)) showOnDesktop(notification, navigate);
    });
  }, [client, desktop, navigate]);
  return (
    <NotificationsContext.Provider value={provided}>
      {children}
      {announce && client && <Announcer client={client} arrived={words.arrived} />}
      <PageSigns client={client} titleCount={titleCount} faviconDot={faviconDot} sound={sound} />
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

/** What the page around shows and sounds like. */
function PageSigns({
  client,
  titleCount,
  faviconDot,
  sound,
}: Complete<Pick<NotificationsProviderProps, "titleCount" | "faviconDot" | "sound">> & {
  client: Client | null;
}): null {
  useTitleCount(titleCount);
  useFaviconDot(faviconDot);
  useSound(sound, client);
  return null;
}

/** One region for screen readers: what has arrived, politely unless it is of high priority, a burst in one sentence. */
function Announcer({ client, arrived }: { client: Client; arrived: Labels["arrived"] }): ReactNode {
  const [{ text, isUrgent }, setAnnouncement] = useState({ text: "", isUrgent: false });
  useEffect(() => {
    let waiting: Notification[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const announce = () => {
      const notifications = waiting;
      waiting = [];
      timer = undefined;
      const isUrgent = notifications.some(({ priority }) => priority === "high");
      setAnnouncement({ text: arrived(notifications, client.inbox.getSnapshot().unreadCount), isUrgent });
    };
    const stop = client.stream.on("notification", (notification) => {
      waiting.push(notification);
      timer ??= setTimeout(announce, BURST);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [client, arrived]);
  return (
    <div role={isUrgent ? "alert" : "status"} className="shirase-hidden shirase-announcer">
      {text}
    </div>
  );
}
