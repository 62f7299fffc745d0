// How an application tests what it shows, without a network.
import { act, render, screen } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { createInbox } from "../../src/inbox/index.js";
import { createNotificationStream, isApiError } from "../../src/index.js";
import { NotificationBell, NotificationList, useNotificationSSE, useNotifications } from "../../src/react/index.js";
import { createFakeService } from "../../src/testing/index.js";
import { FakeNotificationsProvider } from "../../src/testing/react.js";

test("what is sent is shown, and what is clicked was asked", async () => {
  const service = createFakeService({ user: 42 });
  service.notify({ title: "Before", created_at: "2026-11-23T21:00:00Z" });
  render(
    <FakeNotificationsProvider service={service}>
      <NotificationBell />
    </FakeNotificationsProvider>,
  );
  await userEvent.click(await screen.findByRole("button", { name: "Notifications, 1 unread" }));
  service.notify({ title: "Interview", type: "interview.scheduled" });
  await screen.findByRole("button", { name: "Notifications, 2 unread" });
  await userEvent.click(screen.getByRole("button", { name: "Mark read: Before" }));
  await screen.findByRole("button", { name: "Notifications, 1 unread" });
  expect(service.requests.at(-1)).toEqual({ method: "POST", path: "/api/notifications/read", body: { ids: [1] } });
  expect(service.unreadCount).toBe(1);
  expect(service.notifications.map(({ user_id }) => user_id)).toEqual(["42", "42"]);
});

test("a provider without a service has one of its own", async () => {
  render(
    <FakeNotificationsProvider>
      <NotificationList />
    </FakeNotificationsProvider>,
  );
  expect(await screen.findByText("All quiet")).toBeTruthy();
});

function Status() {
  const { unreadCount } = useNotifications();
  const { state, retryNow } = useNotificationSSE();
  return (
    <button type="button" onClick={retryNow}>
      {state.status} {unreadCount}
    </button>
  );
}

test("a network that goes and comes back loses nothing", async () => {
  const service = createFakeService();
  render(
    <FakeNotificationsProvider service={service}>
      <Status />
    </FakeNotificationsProvider>,
  );
  await screen.findByText("open 0");
  act(() => service.disconnect());
  await screen.findByText("reconnecting 0");
  expect(service.openStreams).toBe(0);
  service.notify();
  service.reconnect();
  await userEvent.click(screen.getByRole("button"));
  await screen.findByText("open 1");
  expect(service.openStreams).toBe(1);
});

test("a refusal and the end of a stream are delivered", async () => {
  const service = createFakeService();
  render(
    <FakeNotificationsProvider service={service}>
      <Status />
    </FakeNotificationsProvider>,
  );
  await screen.findByText("open 0");
  act(() => service.end("connection-limit"));
  await screen.findByText("closed 0");
  service.refuse(401);
  await userEvent.click(screen.getByRole("button"));
  await vi.waitFor(() => expect(service.requests.at(-1)?.path).toBe("/api/notifications/unread-count"));
  service.refuse(null);
});

test("without React, each change is an event, and each filter finds its own", async () => {
  const service = createFakeService({ user: "aiko" });
  const stream = createNotificationStream(service.options);
  const inbox = createInbox(stream);
  const received: string[] = [];
  stream.listen(({ event }) => received.push(event));
  await vi.waitFor(() => expect(inbox.getSnapshot().status).toBe("ready"));
  service.notify({ title: "Build", key: "build", category: "ci" });
  service.notify({ title: "Build 2", key: "build", category: "ci" });
  service.notify({ title: "Gone", key: "gone" });
  service.retract("gone");
  service.read([1]);
  service.unread([1]);
  service.seen();
  service.archive([1]);
  service.unarchive([1]);
  await vi.waitFor(() => expect(received.at(-1)).toBe("unarchived"));
  expect(received).toEqual([
    ...["connected", "notification", "updated", "notification", "deleted", "read", "unread", "seen", "archived"],
    "unarchived",
  ]);
  const list = async (query: string) =>
    ((await stream.request("GET", `/api/notifications?${query}`)) as { notifications: unknown[] }).notifications.length;
  expect([
    await list("category=ci"),
    await list("q=build+2"),
    await list("type=x"),
    await list("archived=true"),
  ]).toEqual([1, 1, 0, 0]);
  expect(await stream.request("GET", "/api/notifications/counts")).toEqual({
    unread_count: 1,
    unseen_count: 0,
    by_category: { ci: 1 },
  });
  await inbox.remove(1);
  expect(service.notifications).toEqual([]);
  await expect(stream.request("GET", "/api/notifications/1")).rejects.toSatisfy(isApiError);
  inbox.close();
  stream.close();
});

test("a long poll is answered by what happens", async () => {
  const service = createFakeService();
  const { environment, ...options } = service.options;
  const Nothing = class extends EventTarget {
    readyState = 0;
    close() {}
    constructor() {
      super();
      Promise.resolve().then(() => this.dispatchEvent(new Event("error")));
    }
  } as unknown as typeof EventSource;
  const quick = { pollAfter: 1, minDelay: 0, maxDelay: 0 };
  const stream = createNotificationStream({
    ...options,
    ...quick,
    environment: { ...environment, EventSource: Nothing },
  });
  const received: string[] = [];
  stream.on("notification", ({ title }) => received.push(title));
  await vi.waitFor(() => expect(stream.getState().status).toBe("polling"));
  await vi.waitFor(() => expect(service.requests.at(-1)?.path).toContain("after="));
  service.notify({ title: "Polled" });
  await vi.waitFor(() => expect(received).toEqual(["Polled"]));
  stream.close();
});
