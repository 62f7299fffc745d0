// A page to look at: the components over the scripted service, bundled by tests/browser/looks.py.
import { createRoot } from "react-dom/client";
import type { Notification } from "shirase";
import { NotificationBell, NotificationList, NotificationsProvider, SSEConnectionStatus } from "shirase/react";
import { createScriptedServer } from "../scripted-server.js";

/** What the page is asked to show. */
interface Scene {
  notifications?: Partial<Notification>[];
  /** How many more there are, all unread. */
  more?: number;
  show?: "bell" | "list" | "status";
  align?: "start" | "center" | "end";
  signedOut?: boolean;
}

function start({ notifications = [], more = 0, show = "bell", align = "end", signedOut = false }: Scene) {
  const server = createScriptedServer();
  server.accepts = () => !signedOut;
  const create = (given: Partial<Notification>) => {
    const { id } = server.create(given.title);
    Object.assign(server.notifications.get(id) as Notification, { created_at: new Date().toISOString(), ...given });
  };
  for (let number = 0; number < more; number += 1) create({ title: `No ${number}` });
  for (const each of notifications) create(each);
  const environment = {
    EventSource: server.EventSource,
    fetch: server.fetch,
    navigator: { onLine: true }, // wherever the tests run
    locks: undefined,
    BroadcastChannel: undefined,
  };
  const at = document.getElementById("at") as HTMLElement;
  createRoot(at).render(
    <NotificationsProvider
      user="aiko"
      getToken={() => "a.test.token"}
      environment={environment}
      onSignIn={() => {
        server.accepts = () => true;
      }}
    >
      {show === "bell" && <NotificationBell align={align} />}
      {show === "list" && <NotificationList />}
      {show === "status" && <SSEConnectionStatus />}
    </NotificationsProvider>,
  );
  Object.assign(window, { server });
}

Object.assign(window, { start });
