// @vitest-environment node
import { JSDOM } from "jsdom";
import { StrictMode } from "react";
import { renderToString } from "react-dom/server";
import { expect, test, vi } from "vitest";
import {
  NotificationBell,
  NotificationList,
  NotificationsProvider,
  SSEConnectionStatus,
} from "../../src/react/index.js";
import { createScriptedServer } from "../scripted-server.js";
import { talkTo } from "./app.js";

test("a server's first paint is full with what it fetched", () => {
  const service = createScriptedServer();
  const initial = { notifications: [service.create("Before")], unreadCount: 1, cursor: "c-1" };
  const html = renderToString(
    <NotificationsProvider {...talkTo(service)} initial={initial}>
      <NotificationBell />
      <NotificationList />
    </NotificationsProvider>,
  );
  expect(html).toContain("Before");
  expect(html).toContain("Notifications, 1 unread");
  expect(service.asked).toEqual([]);
});

const server = createScriptedServer();
const app = (
  <StrictMode>
    <NotificationsProvider {...talkTo(server)}>
      <NotificationBell />
      <NotificationList />
      <SSEConnectionStatus />
    </NotificationsProvider>
  </StrictMode>
);

test("a server renders it without a stream, and the browser takes it over as it is", async () => {
  const complain = vi.spyOn(console, "error");
  const html = renderToString(app);
  expect(html).toContain("Notifications, unread count not known yet");
  expect(html).toContain("Not connected");
  expect(server.asked).toEqual([]);

  const { window } = new JSDOM(`<div id="root">${html}</div>`, { pretendToBeVisual: true });
  for (const [name, value] of Object.entries({ window, document: window.document, IS_REACT_ACT_ENVIRONMENT: true })) {
    vi.stubGlobal(name, value);
  }
  server.create("Hello");
  const { act } = await import("react");
  const { hydrateRoot } = await import("react-dom/client");
  const root = window.document.getElementById("root") as unknown as Element;
  const made = await act(async () => hydrateRoot(root, app));
  await vi.waitFor(() => expect(root.textContent).toContain("Hello"));
  expect(server.open).toHaveLength(1);
  expect(complain.mock.calls).toEqual([]);
  await act(async () => made.unmount());
  expect(server.open).toEqual([]);
});
