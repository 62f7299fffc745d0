// The shapes that many applications have written by hand: code for those compiles and runs as it is.
import { render, screen } from "@testing-library/react";
import { useState } from "react";
import { expect, test, vi } from "vitest";
import type { Notification } from "../../src/index.js";
import { NotificationsProvider, useNotificationSSE, useNotifications } from "../../src/react/index.js";
import { createScriptedServer } from "../scripted-server.js";
import { renderApp, settle, talkTo } from "./app.js";

function Header({ onNew }: { onNew: (notification: Notification) => void }) {
  const [error, setError] = useState<unknown>(null);
  const { isConnected, disconnect, retryNow } = useNotificationSSE({
    onNotification: (notification) => onNew(notification),
    onConnected: () => setError(null),
    onError: (problem) => setError(problem),
    autoReconnect: true,
  });
  return (
    <button type="button" onClick={isConnected ? disconnect : retryNow}>
      {isConnected ? "live" : error ? "failed" : "off"}
    </button>
  );
}

function Toasts() {
  const { notifications, unreadCount, isSSEConnected, showNotification, markAsRead, markAllAsRead } =
    useNotifications();
  const show = () => {
    const byWords: boolean = showNotification("Interview", "Tomorrow at ten");
    const byObject: boolean = showNotification({ title: "Interview", message: "", icon: "/bell.png", url: "/me" });
    return [byWords, byObject, notifications[0] && showNotification(notifications[0])];
  };
  const read = async () => {
    await markAsRead(1);
    await markAllAsRead();
  };
  return (
    <output data-functions={[typeof show, typeof read].join()}>
      {unreadCount} {isSSEConnected ? "at once" : "polled"}
    </output>
  );
}

test("the hook runs below a provider", async () => {
  const onNew = vi.fn();
  const { server, happen } = await renderApp(<Header onNew={onNew} />);
  await happen(() => server.create("Hello"));
  expect(onNew).toHaveBeenCalledTimes(1);
  expect(screen.getByRole("button").textContent).toBe("live");
});

test("a user's id may be an integer", async () => {
  const server = createScriptedServer();
  server.userId = "42";
  render(
    <NotificationsProvider {...talkTo(server)} user={42}>
      <Toasts />
    </NotificationsProvider>,
  );
  await settle();
  expect(screen.getAllByRole("status")[0]?.textContent).toBe("0 at once");
});

test("isSSEConnected is false while events are polled", async () => {
  const { server, happen } = await renderApp(<Toasts />, { pollAfter: 1, minDelay: 0, maxDelay: 0 });
  server.onStream = "break";
  await happen(() => server.latest.break());
  await vi.waitFor(async () => {
    await settle();
    expect(screen.getAllByRole("status")[0]?.textContent).toBe("0 polled");
  });
});
