import { act, screen, waitFor, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, expect, test, vi } from "vitest";
import type { Notification } from "../../src/index.js";
import { NotificationBell, NotificationList, NotificationToasts } from "../../src/react/index.js";
import { renderApp, settle, titles } from "./app.js";

const button = (name: string | RegExp) => screen.getByRole("button", { name });
const tab = (name: string | RegExp) => screen.getByRole("tab", { name });
const now = () => ({ updated_at: new Date().toISOString() });

afterEach(() => {
  vi.useRealTimers();
});

test("archiving is done at once, and undone by its row", async () => {
  const { server } = await renderApp(<NotificationList />, { titles: ["One", "Two"] });
  await userEvent.click(button("Archive: Two"));
  await settle();
  expect(server.notifications.get(2)?.archived_at).toBeTruthy();
  expect(titles()).toEqual(["Unread: One"]);
  await userEvent.click(button("Undo: Two"));
  await settle();
  expect(titles()).toEqual(["Unread: Two", "Unread: One"]);
  expect(server.notifications.get(2)?.archived_at).toBe(null);
});

test("what was read can be marked unread", async () => {
  const { server } = await renderApp(<NotificationList />, { titles: ["One"] });
  await userEvent.click(button("Mark read: One"));
  await settle();
  await userEvent.click(button("Mark unread: One"));
  await settle();
  expect(server.unread).toBe(1);
});

test("tabs show all, the unread, a category and the archive, with counts", async () => {
  const tabs = [{}, { unread: true }, { category: "billing", label: "Billing" }, { archived: true }];
  const { server, happen } = await renderApp(<NotificationList tabs={tabs} />);
  await happen(() => {
    server.create("Bill", { category: "billing" });
    server.create("Chat", { category: "chat" });
    server.create("Old");
    server.archive([3]);
    server.read([2]);
  });
  expect(titles()).toEqual(["Chat", "Unread: Bill"]);
  await userEvent.click(tab(/^Unread/));
  await settle();
  expect(titles()).toEqual(["Unread: Bill"]);
  await userEvent.click(tab(/^Billing/));
  await settle();
  await waitFor(() => expect(tab(/^Billing/).textContent).toBe("Billing1"));
  await userEvent.keyboard("{ArrowRight}");
  await settle();
  expect(tab("Archived").getAttribute("aria-selected")).toBe("true");
  expect(titles()).toEqual(["Unread: Old"]);
  await userEvent.click(button("Move to inbox: Old"));
  await settle();
  expect(server.notifications.get(3)?.archived_at).toBe(null);
});

test("a search asks the service", async () => {
  await renderApp(<NotificationList search />, { titles: ["Lunch", "Invoice"] });
  await userEvent.type(screen.getByRole("searchbox", { name: "Search" }), "inv");
  await settle();
  expect(titles()).toEqual(["Unread: Invoice"]);
  await userEvent.type(screen.getByRole("searchbox", { name: "Search" }), "x");
  await settle();
  expect(screen.getByText("Nothing found")).toBeTruthy();
});

test("actors, counts, priority and actions are shown, and only safe addresses", async () => {
  const { server, happen, container } = await renderApp(<NotificationList />);
  const actors = [{ name: "Ann Lee", image: "javascript:alert(1)" }, { name: "Ben" }, { name: "Chika" }];
  const actions = [
    { label: "Reply", url: "/reply", primary: true },
    { label: "Bad", url: "javascript:alert(1)" },
  ];
  await happen(() => server.create("Comments", { actors, count: 5, actions, priority: "high" }));
  expect(titles()).toEqual(["Unread, Important: Comments"]);
  expect(screen.getByText("Ann and 4 others".replace("Ann", "Ann Lee"))).toBeTruthy();
  expect(container.querySelector(".shirase-initials")?.textContent).toBe("AL");
  expect(screen.getAllByRole("link").map((link) => link.getAttribute("href"))).toEqual(["/reply"]);
  expect(container.querySelector("img")).toBe(null);
});

test("rows are grouped by day", async () => {
  const { server, happen, container } = await renderApp(<NotificationList />, { locale: "en" });
  const ago = (days: number) => ({ updated_at: new Date(Date.now() - days * 86_400_000).toISOString() });
  await happen(() => [server.create("Old", ago(40)), server.create("Before", ago(1)), server.create("Now", ago(0))]);
  const days = [...container.querySelectorAll(".shirase-day")].map((day) => day.textContent);
  expect(days.slice(0, 2)).toEqual(["Today", "Yesterday"]);
  expect(days).toHaveLength(3);
});

test("a part can be the page's own", async () => {
  const parts = {
    Empty: () => <p>Zilch</p>,
    Avatar: ({ notification }: { notification: Notification }) => <b>{notification.id}</b>,
  };
  const { server, happen, container } = await renderApp(<NotificationList />, { parts });
  expect(screen.getByText("Zilch")).toBeTruthy();
  await happen(() => server.create("One"));
  expect(container.querySelector("li b")?.textContent).toBe("1");
});

test("words are loaded for the language", async () => {
  await renderApp(<NotificationList />, { locale: "ja-JP", titles: ["One"] });
  await waitFor(() => expect(screen.getByRole("region", { name: "通知" })).toBeTruthy());
  expect(button("アーカイブする: One")).toBeTruthy();
});

test("an open panel has seen what is in it", async () => {
  const { server, happen } = await renderApp(<NotificationBell />, { titles: ["One"] });
  expect(server.counts().unseen_count).toBe(1);
  await userEvent.click(button(/^Notifications,/));
  await settle();
  expect(server.counts()).toEqual({ unread_count: 1, unseen_count: 0 });
  await happen(() => server.create("Two"));
  expect(server.counts().unseen_count).toBe(0);
});

test("the unseen number stands in the title, whatever the page makes of it", async () => {
  document.title = "Home";
  const { server, happen, unmount } = await renderApp(null, { titleCount: true });
  expect(document.title).toBe("Home");
  await happen(() => server.create("One"));
  expect(document.title).toBe("(1) Home");
  await happen(() => {
    document.title = "Inbox";
  });
  await waitFor(() => expect(document.title).toBe("(1) Inbox"));
  await happen(() => server.see());
  expect(document.title).toBe("Inbox");
  unmount();
});

const toasts = () =>
  [...document.querySelectorAll(".shirase-toast .shirase-title")].map((element) => element.textContent);

test("toasts show what arrives, three at a time, and not what was read elsewhere", async () => {
  const { server, happen } = await renderApp(<NotificationToasts />, { titles: ["Before"] });
  await happen(() => {
    for (const title of ["One", "Two", "Three", "Four"]) server.create(title, now());
    server.create("Long ago", { updated_at: "2020-01-01T00:00:00Z" });
  });
  expect(toasts()).toEqual(["One", "Two", "Three"]);
  await happen(() => server.read([2]));
  expect(toasts()).toEqual(["Two", "Three", "Four"].filter((title) => title !== "One"));
  await happen(() => server.read("all"));
  expect(toasts()).toEqual([]);
});

test("a toast goes by itself, but not under the pointer, and not if it is important", async () => {
  const { server, happen } = await renderApp(<NotificationToasts duration={50} />);
  await happen(() => server.create("Important", { ...now(), priority: "high" }));
  await happen(() => server.create("Passing", now()));
  await waitFor(() => expect(toasts()).toEqual(["Important"]));
  await userEvent.hover(screen.getByText("Important"));
  await happen(() => server.create("Held", now()));
  await act(async () => new Promise((resolve) => setTimeout(resolve, 120)));
  expect(toasts()).toEqual(["Important", "Held"]);
  await userEvent.unhover(screen.getByText("Important"));
  await waitFor(() => expect(toasts()).toEqual(["Important"]));
});

test("Escape and a button dismiss a toast", async () => {
  const { server, happen } = await renderApp(<NotificationToasts duration={60_000} />);
  await happen(() => [server.create("One", now()), server.create("Two", now())]);
  await act(async () => button("Dismiss: One").focus());
  await userEvent.keyboard("{Escape}");
  expect(toasts()).toEqual(["Two"]);
  await userEvent.click(within(screen.getByRole("list")).getByRole("button", { name: "Dismiss: Two" }));
  expect(toasts()).toEqual([]);
  expect(server.unread).toBe(2);
});

test("what rises again is one toast, with its newest words", async () => {
  const { server, happen } = await renderApp(<NotificationToasts />);
  await happen(() => server.put("build", "Build 10 %", now()));
  await happen(() => server.put("build", "Build 100 %", now()));
  expect(toasts()).toEqual(["Build 100 %"]);
});
