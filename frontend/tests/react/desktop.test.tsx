import { screen } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type ShowNotification, useDesktopNotifications, useNotifications } from "../../src/react/index.js";
import { renderApp } from "./app.js";

// The browser's part, which jsdom does not have. What it decides is that a permission is given once.
class Desktop {
  static permission: NotificationPermission = "default";
  static shown: [string, NotificationOptions][] = [];
  static requestPermission = vi.fn(async () => {
    Desktop.permission = "granted";
    return Desktop.permission;
  });
  static notes: Desktop[] = [];
  onclick = () => {};
  close = vi.fn();
  constructor(title: string, options: NotificationOptions) {
    Desktop.shown.push([title, options]);
    Desktop.notes.push(this);
  }
}

beforeEach(() => {
  vi.stubGlobal("Notification", Desktop);
  Desktop.permission = "default";
  Desktop.shown = [];
  Desktop.notes = [];
  Desktop.requestPermission.mockClear();
});
afterEach(() => vi.unstubAllGlobals());

function hide(hidden: boolean): void {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
}

function Ask() {
  const { permission, request } = useDesktopNotifications();
  return (
    <button type="button" onClick={request}>
      {permission}
    </button>
  );
}

test("nothing asks for the permission but a gesture of the user", async () => {
  const { server, happen } = await renderApp(<Ask />, { desktop: true });
  await happen(() => server.create());
  expect(Desktop.requestPermission).not.toHaveBeenCalled();
  await userEvent.click(screen.getByRole("button", { name: "default" }));
  expect(Desktop.requestPermission).toHaveBeenCalledTimes(1);
  expect(screen.getByRole("button").textContent).toBe("granted");
});

test("a request without a gesture does not ask", async () => {
  Object.defineProperty(navigator, "userActivation", { value: { isActive: false }, configurable: true });
  await renderApp(<Ask />);
  await userEvent.click(screen.getByRole("button", { name: "default" }));
  expect(Desktop.requestPermission).not.toHaveBeenCalled();
  Reflect.deleteProperty(navigator, "userActivation");
});

test("what arrives while the page is hidden comes up once it is permitted, under one tag in all tabs", async () => {
  const { server, happen } = await renderApp(<Ask />, { desktop: true });
  const arrive = (title: string) => {
    const now = vi.spyOn(Date, "now").mockReturnValue(Date.parse("2026-11-23T21:00:02Z"));
    server.create(title);
    now.mockRestore();
  };
  hide(true);
  await happen(() => arrive("Not permitted"));
  Desktop.permission = "granted";
  await happen(() => arrive("Permitted"));
  await happen(() => server.create("Missed long ago"));
  hide(false);
  await happen(() => arrive("Looked at"));
  expect(Desktop.shown).toEqual([["Permitted", { body: "", tag: "shirase-2" }]]);
});

test("showNotification returns whether it was shown", async () => {
  const outcomes: boolean[] = [];
  function Show() {
    const { notifications, showNotification } = useNotifications();
    return (
      <button type="button" onClick={() => notifications[0] && outcomes.push(showNotification(notifications[0]))}>
        Show
      </button>
    );
  }
  await renderApp(<Show />, { titles: ["Hello"] });
  await userEvent.click(screen.getByRole("button"));
  Desktop.permission = "granted";
  await userEvent.click(screen.getByRole("button"));
  expect(outcomes).toEqual([false, true]);
  expect(Desktop.shown).toEqual([["Hello", { body: "", tag: "shirase-1" }]]);
});

test("showNotification takes words, an icon, and an address that a click opens", async () => {
  const navigate = vi.fn();
  let show: ShowNotification = () => false;
  function Show() {
    show = useNotifications().showNotification;
    return null;
  }
  await renderApp(<Show />, { navigate });
  const focus = vi.spyOn(window, "focus").mockImplementation(() => {});
  Desktop.permission = "granted";
  show("Interview", "Tomorrow at ten");
  show({ title: "With an icon", icon: "/bell.png", url: "/interviews/1" });
  show({ title: "Unsafe", icon: "javascript:alert(1)", url: "javascript:alert(1)" });
  expect(Desktop.shown).toEqual([
    ["Interview", { body: "Tomorrow at ten" }],
    ["With an icon", { body: "", icon: "/bell.png" }],
    ["Unsafe", { body: "" }],
  ]);
  for (const note of Desktop.notes) note.onclick();
  expect(navigate.mock.calls).toEqual([["/interviews/1"]]);
  expect(focus).toHaveBeenCalledTimes(3);
  focus.mockRestore();
});
