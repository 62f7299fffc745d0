import { act, screen, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { NotificationList } from "../../src/react/index.js";
import { leave, renderApp, settle, titles } from "./app.js";

const button = (name: string) => screen.getByRole("button", { name });

test("what a producer wrote is text, never markup", async () => {
  const markup = "<img src=x onerror=alert(1)><b>bold</b>";
  const { container } = await renderApp(<NotificationList />, { titles: [markup] });
  expect(titles()).toEqual([`Unread: ${markup}`]);
  expect(container.querySelector("img, b")).toBe(null);
});

test.each([
  ["https://example.com/a", "https://example.com/a"],
  ["/interviews/18", "/interviews/18"],
  ["javascript:alert(1)", null],
  [" java\nscript:alert(1)", null],
  ["data:text/html,<b>", null],
  [{ toString: "x" }, null],
])("a payload's url %j leads to %j", async (url, href) => {
  const { server, happen } = await renderApp(<NotificationList />);
  await happen(() => {
    const created = server.create("Linked");
    server.notifications.set(created.id, { ...created, payload: { url } });
    server.latest.send("reset", { reason: "test" }, "c-9");
  });
  expect(titles()).toEqual(["Unread: Linked"]);
  expect(screen.queryByRole("link", { name: "Linked" })?.getAttribute("href") ?? null).toBe(href);
});

test("choosing a title marks it read and calls onSelect", async () => {
  const onSelect = vi.fn();
  const { server } = await renderApp(<NotificationList onSelect={onSelect} />, { titles: ["Choose me"] });
  await userEvent.click(button("Choose me"));
  await settle();
  expect(onSelect.mock.calls[0]?.[0].title).toBe("Choose me");
  expect(server.notifications.get(1)?.is_read).toBe(true);
});

test("the focus stays in the list when what had it goes", async () => {
  await renderApp(<NotificationList />, { titles: ["One", "Two", "Three"] });
  await userEvent.click(button("Mark read: Two"));
  await settle();
  expect(document.activeElement).toBe(button("Mark unread: Two"));
  await userEvent.unhover(button("Delete: Two"));
  await act(async () => button("Delete: Two").focus());
  await userEvent.keyboard("{Enter}");
  await settle();
  expect(titles()).toEqual(["Unread: Three", "Unread: One"]);
  expect(document.activeElement).toBe(button("Undo: Two"));
  await leave();
  expect(document.activeElement).toBe(button("Archive: One"));
  await userEvent.tab();
  await userEvent.keyboard("{Enter}");
  await leave();
  expect(document.activeElement).toBe(button("Archive: Three"));
  await userEvent.tab();
  await userEvent.keyboard("{Enter}");
  await leave();
  expect(document.activeElement).toBe(screen.getByRole("heading", { name: "Notifications" }));
  expect(screen.getByText("All quiet")).toBeTruthy();
});

test("the focus is left alone when it is elsewhere", async () => {
  const { server, happen } = await renderApp(<NotificationList />, { titles: ["One", "Two"] });
  await act(async () => button("Delete: Two").focus());
  await act(async () => button("Delete: Two").blur());
  await happen(() => server.remove(2));
  expect(document.activeElement).toBe(document.body);
});

test("a refused change is undone, reported, and can be retried", async () => {
  const { server } = await renderApp(<NotificationList />, { titles: ["Stays"] });
  server.onRequest = 503;
  await userEvent.click(button("Delete: Stays"));
  await leave();
  expect(titles()).toEqual(["Unread: Stays"]);
  const alert = screen.getByRole("alert");
  expect(alert.textContent).toContain("That could not be saved.");
  server.onRequest = "serve";
  await userEvent.click(within(alert).getByRole("button", { name: "Try again" }));
  await leave();
  expect(titles()).toEqual([]);
  expect(screen.queryByRole("alert")).toBe(null);
});

test("a list that cannot be fetched shows an error and is fetched again on demand", async () => {
  const { server, change } = await renderApp(<NotificationList />, { user: null, titles: ["There"] });
  server.onRequest = 500;
  await change({ user: "aiko" });
  expect(screen.getByRole("alert").textContent).toContain("could not be loaded");
  server.onRequest = "serve";
  await userEvent.click(button("Try again"));
  await settle();
  expect(titles()).toEqual(["Unread: There"]);
});

test("older ones come by the page", async () => {
  const all = Array.from({ length: 5 }, (_, number) => `No ${number}`);
  await renderApp(<NotificationList />, { titles: all, pageSize: 3 });
  expect(titles()).toHaveLength(3);
  await userEvent.click(button("Show older"));
  await settle();
  expect(titles()).toHaveLength(5);
  expect(screen.queryByRole("button", { name: "Show older" })).toBe(null);
});

test("what is below a message is the page's own", async () => {
  await renderApp(<NotificationList>{({ id }) => <code>number {id}</code>}</NotificationList>, { titles: ["One"] });
  expect(screen.getByText("number 1").tagName).toBe("CODE");
});

test("every word can be another one", async () => {
  const labels = { notifications: "通知", markAllAsRead: "すべて既読にする", empty: "通知はありません" };
  await renderApp(<NotificationList />, { labels, locale: "ja" });
  expect(screen.getByRole("region", { name: "通知" })).toBeTruthy();
  expect(button("すべて既読にする")).toBeTruthy();
  expect(screen.getByText("通知はありません")).toBeTruthy();
});

test("a removal can be undone", async () => {
  const { server } = await renderApp(<NotificationList />, { titles: ["One", "Two"] });
  await userEvent.click(button("Delete: Two"));
  await settle();
  expect(titles()).toEqual(["Unread: One"]);
  await userEvent.click(button("Undo: Two"));
  await settle();
  expect(titles()).toEqual(["Unread: Two", "Unread: One"]);
  await leave();
  expect(server.count("DELETE")).toBe(0);
});

test("a page that is left deletes at once what could be undone", async () => {
  const { server, unmount } = await renderApp(<NotificationList />, { titles: ["One", "Two"] });
  await userEvent.click(button("Delete: Two"));
  await leave();
  expect([...server.notifications.keys()]).toEqual([1]);
  await userEvent.click(button("Delete: One"));
  unmount();
  await settle();
  expect(server.notifications.size).toBe(0);
});

const rows = () => [...document.querySelectorAll<HTMLElement>("[data-id]")].map(({ dataset }) => Number(dataset["id"]));

test("no row moves while the pointer is over the list", async () => {
  const { server, happen } = await renderApp(<NotificationList />, { titles: ["One", "Two", "Three"] });
  await userEvent.hover(button("Delete: Two"));
  await happen(() => [server.create("Four"), server.create("Five"), server.remove(3)]);
  expect(rows()).toEqual([3, 2, 1]);
  expect(titles()).toEqual(["Unread: Two", "Unread: One"]);
  await userEvent.click(button("2 new"));
  expect(rows()).toEqual([5, 4, 2, 1]);
  await happen(() => server.create("Six"));
  expect(rows()).toEqual([5, 4, 2, 1]);
  await userEvent.unhover(screen.getByRole("region"));
  expect(rows()).toEqual([6, 5, 4, 2, 1]);
});

test("no row moves while one of them has the focus", async () => {
  const { server, happen } = await renderApp(<NotificationList />, { titles: ["One", "Two"] });
  await act(async () => button("Delete: Two").focus());
  await act(async () => button("Delete: One").focus());
  await happen(() => server.create("Three"));
  expect(rows()).toEqual([2, 1]);
  await act(async () => button("Mark all read").focus());
  expect(rows()).toEqual([3, 2, 1]);
});

test("older ones are shown at once, also under the pointer", async () => {
  await renderApp(<NotificationList />, { titles: ["One", "Two", "Three"], pageSize: 2 });
  await userEvent.click(button("Show older"));
  await settle();
  expect(rows()).toEqual([3, 2, 1]);
});

test("each text has its own direction", async () => {
  const { container } = await renderApp(<NotificationList />, { titles: ["מה שלומך?"] });
  const parts = [".shirase-title", ".shirase-type"].map((part) => container.querySelector(part)?.getAttribute("dir"));
  expect(parts).toEqual(["auto", "auto"]);
});

test("who is signed out is asked to sign in", async () => {
  const server = { current: null as unknown as Awaited<ReturnType<typeof renderApp>>["server"] };
  const onSignIn = vi.fn(async () => {
    server.current.accepts = () => true;
  });
  const app = await renderApp(<NotificationList />, { titles: ["There"], user: null, onSignIn });
  server.current = app.server;
  expect(screen.getByText("Sign in to see your notifications.")).toBeTruthy();
  app.server.accepts = () => false;
  await app.change({ user: "aiko" });
  expect(screen.getByText("Signed out")).toBeTruthy();
  expect(screen.queryByRole("alert")).toBe(null);
  await userEvent.click(button("Sign in"));
  await settle();
  expect(onSignIn).toHaveBeenCalledOnce();
  expect(titles()).toEqual(["Unread: There"]);
});

test("a page without a sign-in has no button for it", async () => {
  await renderApp(<NotificationList />, { user: null });
  expect(screen.getByText("Signed out")).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Sign in" })).toBe(null);
});
