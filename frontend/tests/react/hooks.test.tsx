import { screen, waitFor } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { type Notifications, useNotificationSSE, useNotifications } from "../../src/react/index.js";
import { renderApp } from "./app.js";

function listening() {
  const received = { onNotification: vi.fn(), onError: vi.fn(), onConnected: vi.fn() };
  function Listener() {
    const { isConnected, state } = useNotificationSSE(received);
    return (
      <output>
        {state.status} {String(isConnected)}
      </output>
    );
  }
  return { received, Listener };
}

const state = () => screen.getAllByRole("status")[0]?.textContent;

test("onNotification receives each once", async () => {
  const { received, Listener } = listening();
  const { server, happen } = await renderApp(<Listener />);
  await happen(() => server.create("One"));
  await happen(() => server.create("Two"));
  expect(received.onNotification.mock.calls.map(([notification]) => notification.title)).toEqual(["One", "Two"]);
});

test("onConnected and onError are called at each connect and each loss", async () => {
  const { received, Listener } = listening();
  const { server, happen } = await renderApp(<Listener />);
  expect(state()).toBe("open true");
  expect(received.onConnected).toHaveBeenCalledWith({ status: "open", shared: false });
  received.onConnected.mockClear();
  await happen(() => server.latest.break());
  expect(state()).toBe("reconnecting false");
  expect(received.onError).toHaveBeenCalledTimes(1);
  expect(received.onError.mock.calls[0]?.[0].error).toEqual({ kind: "network" });
  await waitFor(() => expect(received.onConnected).toHaveBeenCalledTimes(1));
});

test("onError is called when the service ends the stream, and retryNow opens it again", async () => {
  const { received, Listener } = listening();
  let retryNow = () => {};
  function Retry() {
    retryNow = useNotificationSSE().retryNow;
    return <Listener />;
  }
  const { server, happen } = await renderApp(<Retry />);
  await happen(() => server.latest.send("closing", { reason: "connection-limit", reconnect: false }));
  expect(received.onError).toHaveBeenLastCalledWith({ status: "closed", reason: "ended", detail: "connection-limit" });
  await happen(() => retryNow());
  expect(state()).toBe("open true");
});

function using() {
  const seen: { current: Notifications } = { current: {} as Notifications };
  function User() {
    seen.current = useNotifications();
    return null;
  }
  return { seen, User };
}

test("useNotifications gives the list, the count and the connection, and functions that stay the same", async () => {
  const { seen, User } = using();
  const { server, happen } = await renderApp(<User />, { titles: ["One", "Two"] });
  const before = seen.current;
  expect(before.notifications.map(({ title }) => title)).toEqual(["Two", "One"]);
  expect([before.unreadCount, before.isSSEConnected, before.status]).toEqual([2, true, "ready"]);
  await happen(() => before.markAsRead(1));
  expect(server.notifications.get(1)?.is_read).toBe(true);
  expect(seen.current.unreadCount).toBe(1);
  await happen(() => before.markAllAsRead());
  expect(seen.current.unreadCount).toBe(0);
  await happen(() => before.remove(2));
  expect(seen.current.notifications.map(({ id }) => id)).toEqual([1]);
  expect(seen.current.markAsRead).toBe(before.markAsRead);
});

test("a refused change is taken back, and its promise rejects", async () => {
  const { seen, User } = using();
  const { server, happen } = await renderApp(<User />, { titles: ["One"] });
  server.onRequest = 503;
  await happen(() => expect(seen.current.markAsRead([1])).rejects.toMatchObject({ status: 503 }));
  expect(seen.current.unreadCount).toBe(1);
});

test("refreshing asks the service", async () => {
  const { seen, User } = using();
  const { server, happen } = await renderApp(<User />);
  const asked = server.asked.length;
  await happen(() => seen.current.refreshNotifications());
  await happen(() => seen.current.refreshUnreadCount());
  expect(server.asked.slice(asked)).toEqual([
    expect.stringContaining("GET /api/notifications?"),
    expect.stringContaining("GET /api/notifications"),
  ]);
});

test("without a user there is nothing to change, and that is texts", async () => {
  const { seen, User } = using();
  await renderApp(<User />, { user: null });
  await expect(seen.current.markAllAsRead()).rejects.toThrow("nobody is signed in");
  expect(seen.current.isSSEConnected).toBe(false);
});
