// A page to look at: the components over the scripted service, bundled by tests/browser/looks.py.
import { createRoot } from "react-dom/client";
import type { Notification } from "shirase";
import type { NotificationType } from "shirase/preferences";
import {
  NotificationBell,
  NotificationList,
  NotificationsProvider,
  type NotificationsProviderProps,
  type NotificationTab,
  NotificationToasts,
  SSEConnectionStatus,
} from "shirase/react";
import { NotificationPreferences } from "shirase/react/preferences";
import { createScriptedServer } from "../scripted-server.js";

/** What the page is asked to show. */
interface Scene {
  notifications?: Partial<Notification>[];
  /** How many more there are, all unread. */
  more?: number;
  show?: "bell" | "list" | "status" | "toasts" | "preferences";
  /** The catalogue of the service; without it, the preferences cannot be read. */
  types?: NotificationType[];
  align?: "start" | "center" | "end";
  signedOut?: boolean;
  tabs?: NotificationTab[];
  search?: boolean;
  /** Whatever else the provider takes. */
  options?: NotificationsProviderProps;
}

function start({
  notifications = [],
  more = 0,
  show = "bell",
  align = "end",
  signedOut = false,
  types,
  ...scene
}: Scene) {
  const server = createScriptedServer();
  server.accepts = () => !signedOut;
  const now = new Date().toISOString();
  const create = (fields: Partial<Notification>) => {
    server.create(fields.title, { created_at: now, updated_at: now, ...fields });
  };
  for (let number = 0; number < more; number += 1) create({ title: `No ${number}` });
  for (const each of notifications) create(each);
  const stored: Record<string, unknown> = { "/api/types": { types }, "/api/preferences": { rules: [], quiet: null } };
  const environment = {
    EventSource: server.EventSource,
    fetch: (url: string, init?: RequestInit) => {
      const path = new URL(url, location.href).pathname;
      if (!types || !(path in stored)) return server.fetch(url, init);
      if (init?.method === "PUT") stored[path] = JSON.parse(String(init.body));
      return Promise.resolve(Response.json(stored[path]));
    },
    navigator: { onLine: true }, // wherever the tests run
    locks: undefined,
    BroadcastChannel: undefined,
  };
  const list = <NotificationList {...(scene.tabs && { tabs: scene.tabs })} search={scene.search ?? false} />;
  const at = document.getElementById("at") as HTMLElement;
  createRoot(at).render(
    <NotificationsProvider
      user="aiko"
      getToken={() => "a.test.token"}
      environment={environment}
      onSignIn={() => {
        server.accepts = () => true;
      }}
      {...scene.options}
    >
      {show === "bell" && <NotificationBell align={align}>{list}</NotificationBell>}
      {show === "list" && list}
      {show === "status" && <SSEConnectionStatus />}
      {show === "toasts" && <NotificationToasts />}
      {show === "preferences" && <NotificationPreferences />}
    </NotificationsProvider>,
  );
  Object.assign(window, { server });
}

Object.assign(window, { start });
