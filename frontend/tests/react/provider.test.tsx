import { render, screen, waitFor } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { NotificationList, useNotifications } from "../../src/react/index.js";
import { createScriptedServer } from "../scripted-server.js";
import { renderApp, talkTo, titles } from "./app.js";
import { complain } from "./setup.js";

function Count() {
  return <output>{useNotifications().unreadCount}</output>;
}

const count = () => screen.getAllByRole("status")[0]?.textContent;

test("Strict Mode opens one stream, and unmounting closes it", async () => {
  const { server, unmount } = await renderApp(<Count />);
  expect(server.streams).toHaveLength(1);
  unmount();
  expect(server.open).toEqual([]);
});

test("what arrives is shown, and counted once", async () => {
  const { server, happen } = await renderApp(<Count />, { titles: ["Before"] });
  expect(count()).toBe("1");
  await happen(() => server.create("Now"));
  expect(count()).toBe("2");
});

test("a render with new functions opens nothing anew, and the newest function is called", async () => {
  const { server, change, happen } = await renderApp(<Count />);
  const getToken = vi.fn(() => "another.test.token");
  await change({ getToken });
  expect(server.streams).toHaveLength(1);
  await happen(() => server.latest.break());
  await waitFor(() => expect(server.latest.url.searchParams.get("token")).toBe("another.test.token"));
});

test("another user has another stream, and never sees what the former had", async () => {
  const seen: [string, number][] = [];
  let user = "aiko";
  function Spy() {
    seen.push([user, useNotifications().notifications.length]);
    return null;
  }
  const { server, change } = await renderApp(<Spy />, { titles: ["For Aiko"] });
  expect(seen.at(-1)).toEqual(["aiko", 1]);
  const other = createScriptedServer();
  other.userId = user = "ben";
  await change({ ...talkTo(other), user });
  expect(server.open).toEqual([]);
  expect(other.open).toHaveLength(1);
  expect(seen.filter(([whose, count]) => whose === "ben" && count > 0)).toEqual([]);
});

test("a signed-out page has no stream, and nothing of the former user", async () => {
  const { server, change } = await renderApp(<NotificationList />, { titles: ["For Aiko"] });
  expect(titles()).toEqual(["Unread: For Aiko"]);
  await change({ user: null });
  expect(server.open).toEqual([]);
  expect(titles()).toEqual([]);
});

test("an option that changes is taken", async () => {
  const { server, change } = await renderApp(<Count />);
  await change({ url: "https://push.example.com" });
  expect(server.streams.map(({ url }) => url.host)).toEqual(["page", "push.example.com"]);
  expect(server.open).toHaveLength(1);
});

test("a hook without a provider names what it needs", () => {
  expect(() => render(<Count />)).toThrow("<NotificationsProvider>");
  complain.mockClear(); // React reports what it threw
});
