// A page of a host application on another origin than the service's, bundled by tests/browser/engines/site.py.
import { createRoot } from "react-dom/client";
import { createNotificationStream, fetchToken, type StreamEvent, type StreamOptions } from "shirase";
import { createInbox } from "shirase/inbox";
import * as push from "shirase/push";
import { NotificationBell, NotificationsProvider } from "shirase/react";

/** A stream and its inbox, as `window.stream` and `window.inbox`; what it delivers, in `window.received`. */
function listen(options: StreamOptions & { token?: string; tokenAt?: string }) {
  const { token = "", tokenAt, ...more } = options;
  const getToken = tokenAt ? fetchToken(tokenAt) : () => token;
  const stream = createNotificationStream({ getToken, ...more } as StreamOptions);
  const inbox = createInbox(stream);
  const received: StreamEvent[] = [];
  stream.listen((event) => received.push(event));
  const titles = () => received.flatMap(({ event, data }) => (event === "notification" ? [data.title] : []));
  Object.assign(window, { stream, inbox, received, titles });
}

/** A bell at the left edge. The page begins with the first of `tokens`; signing in uses the last. */
function showBell({ user, url, tokens }: { user: string; url: string; tokens: string[] }) {
  createRoot(document.getElementById("bell") as HTMLElement).render(
    <NotificationsProvider
      user={user}
      url={url}
      getToken={() => tokens[0] as string}
      onSignIn={() => tokens.splice(0, tokens.length - 1)}
    >
      <NotificationBell />
    </NotificationsProvider>,
  );
}

Object.assign(window, { listen, push, showBell });
