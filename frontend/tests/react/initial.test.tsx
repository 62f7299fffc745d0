import { act, render, screen } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import type { InitialInbox } from "../../src/react/index.js";
import { NotificationList, NotificationsProvider, useNotifications } from "../../src/react/index.js";
import { createFakeService } from "../../src/testing/index.js";
import { FakeNotificationsProvider } from "../../src/testing/react.js";
import { createScriptedServer, type ScriptedServer } from "../scripted-server.js";
import { settle, talkTo, titles } from "./app.js";

function fetched(server: ScriptedServer): InitialInbox {
  const notifications = [...server.notifications.values()].sort((a, b) => b.id - a.id);
  return { notifications, unreadCount: server.unread, cursor: `c-${server.head}` };
}

async function begin(server: ScriptedServer, initial: InitialInbox, user: string | number | null = "aiko") {
  const seen: string[][] = [];
  function Spy() {
    seen.push(useNotifications().notifications.map(({ title }) => title));
    return <NotificationList />;
  }
  const tree = (user: string | number | null, data: InitialInbox) => (
    <NotificationsProvider {...talkTo(server)} user={user} initial={data}>
      <Spy />
    </NotificationsProvider>
  );
  const view = render(tree(user, initial));
  await settle();
  return {
    seen,
    happen: async (what: () => unknown) => {
      await act(async () => void (await what()));
      await settle();
    },
    change: async (user: string | number | null, data = initial) => {
      view.rerender(tree(user, data));
      await settle();
    },
  };
}

test("the browser's first paint is what the server fetched", async () => {
  const server = createScriptedServer();
  server.create("Before");
  const { seen } = await begin(server, fetched(server));
  expect(seen[0]).toEqual(["Before"]);
});

test("the stream goes on from there, and nothing is fetched again", async () => {
  const server = createScriptedServer();
  server.create("Before");
  const initial = fetched(server);
  server.create("Between");
  server.read([1]);
  const { happen } = await begin(server, initial);
  expect(titles()).toEqual(["Unread: Between", "Before"]);
  await happen(() => server.create("Now"));
  expect(titles()).toEqual(["Unread: Now", "Unread: Between", "Before"]);
  expect(server.count("GET")).toBe(0);
});

test("what one user's server fetched is not shown to the next", async () => {
  const server = createScriptedServer();
  server.create("For Aiko");
  const { seen, change } = await begin(server, fetched(server));
  const before = seen.length;
  await change(null);
  server.userId = "ben";
  server.notifications.clear();
  await change("ben");
  expect(seen.slice(before).flat()).toEqual([]);
});

test("a page of another user's is not shown", async () => {
  const server = createScriptedServer();
  server.create("For Aiko");
  const initial = fetched(server);
  server.userId = "42";
  server.notifications.clear();
  const { seen } = await begin(server, initial, 42);
  expect(seen.flat()).toEqual([]);
});

test("a cursor that is not kept any longer has the list fetched again", async () => {
  const server = createScriptedServer();
  server.create("Before");
  const initial = fetched(server);
  server.create("Between");
  server.keptFrom = 5;
  await begin(server, { ...initial, cursor: "c-0" });
  expect(titles()).toEqual(["Unread: Between", "Unread: Before"]);
});

test("navigate follows links within the page's origin, and no others", async () => {
  const navigate = vi.fn();
  const service = createFakeService();
  for (const url of ["/interviews/1", "https://other.example.com/"]) service.notify({ url });
  render(
    <FakeNotificationsProvider service={service} navigate={navigate}>
      <NotificationList />
    </FakeNotificationsProvider>,
  );
  expect(await screen.findAllByRole("link")).toHaveLength(2);
  const click = async (href: string, how: MouseEventInit = {}) => {
    window.addEventListener("click", (late) => late.preventDefault(), { once: true }); // jsdom cannot navigate
    const event = new MouseEvent("click", { bubbles: true, cancelable: true, ...how });
    await act(async () => void document.querySelector(`a[href="${href}"]`)?.dispatchEvent(event));
    await settle();
  };
  await click("/interviews/1", { ctrlKey: true });
  await click("https://other.example.com/");
  expect(navigate).not.toHaveBeenCalled();
  await click("/interviews/1");
  expect(navigate.mock.calls).toEqual([["/interviews/1"]]);
});
