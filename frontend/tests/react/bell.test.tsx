import { act, render, screen, waitFor } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import type { Notification } from "../../src/index.js";
import {
  NotificationBell,
  type NotificationBellProps,
  NotificationList,
  NotificationsProvider,
  SSEConnectionStatus,
} from "../../src/react/index.js";
import { renderApp, settle } from "./app.js";

const bell = () => screen.getByRole("button", { name: /^Notifications, / });
const panel = () => screen.queryByRole("dialog", { name: "Notifications" });

test("the badge follows the count, and the bell's name contains it", async () => {
  const { server, happen, container } = await renderApp(<NotificationBell />);
  expect(bell().getAttribute("aria-label")).toBe("Notifications, 0 unread");
  expect(container.querySelector(".shirase-badge")).toBe(null);
  await happen(() => {
    for (let number = 0; number < 120; number += 1) server.create();
  });
  expect(bell().getAttribute("aria-label")).toBe("Notifications, 120 unread");
  expect(container.querySelector(".shirase-badge")?.textContent).toBe("99+");
});

test("the keyboard opens the panel, works in it, and comes back to the bell", async () => {
  await renderApp(<NotificationBell />, { titles: ["Hello"] });
  await userEvent.tab();
  expect(document.activeElement).toBe(bell());
  await userEvent.keyboard("{Enter}");
  expect(document.activeElement).toBe(panel());
  expect(bell().getAttribute("aria-expanded")).toBe("true");
  expect(bell().getAttribute("aria-controls")).toBe(panel()?.id);
  await userEvent.tab(); // mark all read
  await userEvent.tab(); // the tabs
  await userEvent.tab();
  await userEvent.keyboard("{Enter}");
  await settle();
  expect(bell().getAttribute("aria-label")).toBe("Notifications, 0 unread");
  await userEvent.keyboard("{Escape}");
  expect(panel()).toBe(null);
  expect(document.activeElement).toBe(bell());
});

test("a click or a focus elsewhere closes the panel", async () => {
  const app = (
    <>
      <NotificationBell />
      <button type="button">Elsewhere</button>
      <p>Text</p>
    </>
  );
  await renderApp(app);
  await userEvent.click(bell());
  expect(panel()).not.toBe(null);
  await userEvent.click(screen.getByText("Text"));
  expect(panel()).toBe(null);
  await userEvent.click(bell());
  await act(async () => screen.getByText("Elsewhere").focus());
  expect(panel()).toBe(null);
});

test("what arrives is read out politely, and a burst in one sentence", async () => {
  const { server, happen, container } = await renderApp(<NotificationBell />);
  const announced = () => container.querySelector(".shirase-announcer")?.textContent;
  await happen(() => server.create("Lunch"));
  await waitFor(() => expect(announced()).toBe("New: Lunch. 1 unread."));
  await happen(() => [server.create("One"), server.create("Two")]);
  await waitFor(() => expect(announced()).toBe("2 new notifications. 3 unread."));
  expect(container.querySelector(".shirase-announcer")?.getAttribute("role")).toBe("status");
});

test("nothing is read out where the page does that itself", async () => {
  const { container } = await renderApp(<NotificationBell />, { announce: false });
  expect(container.querySelector(".shirase-announcer")).toBe(null);
});

test("the connection's state is shown, and a click retries at once", async () => {
  const { server, happen, container } = await renderApp(<SSEConnectionStatus />, { minDelay: 60_000 });
  const status = () => container.querySelector(".shirase-status") as HTMLElement;
  expect([status().dataset["status"], status().textContent]).toEqual(["open", "Live"]);
  await happen(() => server.latest.break());
  expect(status().textContent).toBe("Reconnecting…Try now");
  await userEvent.click(screen.getByRole("button", { name: "Try now" }));
  await settle();
  expect(status().textContent).toBe("Live");
  await happen(() => server.latest.send("closing", { reason: "evicted", reconnect: false }));
  expect(status().textContent).toBe("Ended by the serviceTry now");
});

test("a page can decide whether the panel is open", async () => {
  const onOpenChange = vi.fn();
  const { rerender } = render(<Controlled open={false} onOpenChange={onOpenChange} />);
  await userEvent.click(bell());
  expect(onOpenChange.mock.calls).toEqual([[true]]);
  expect(panel()).toBe(null);
  rerender(<Controlled open={true} onOpenChange={onOpenChange} />);
  expect(panel()).toBeTruthy();
  await userEvent.keyboard("{Escape}");
  expect(onOpenChange.mock.calls).toEqual([[true], [false]]);
  expect(panel()).toBeTruthy();
});

test.each(["a choice", "a hash", "history.back()"])("%s closes the panel", async (how) => {
  const { server, happen } = await renderApp(<NotificationBell />);
  await happen(() => server.create("Linked"));
  await happen(() => {
    server.notifications.set(1, { ...(server.notifications.get(1) as Notification), payload: { url: "#there" } });
    server.latest.send("reset", { reason: "test" }, "c-9");
  });
  history.pushState(null, "", "/before");
  history.pushState(null, "", "/now");
  await userEvent.click(bell());
  expect(panel()).toBeTruthy();
  if (how === "a choice") await userEvent.click(screen.getByRole("link", { name: "Linked" }));
  if (how === "a hash") location.hash = how;
  if (how === "history.back()") history.back();
  await waitFor(() => expect(panel()).toBe(null));
  expect(document.activeElement).toBe(bell());
});

test("a link that opens elsewhere leaves the panel open", async () => {
  const { server, happen } = await renderApp(
    <NotificationBell>
      {<NotificationList linkTo={() => "#there"} onSelect={(_, event) => event.preventDefault()} />}
    </NotificationBell>,
  );
  await happen(() => server.create("Linked"));
  await userEvent.click(bell());
  const user = userEvent.setup();
  await user.keyboard("{Control>}");
  await user.click(screen.getByRole("link", { name: "Linked" }));
  expect(panel()).toBeTruthy();
});

function Controlled(props: NotificationBellProps) {
  return (
    <NotificationsProvider user={null} cookies>
      <NotificationBell {...props} />
    </NotificationsProvider>
  );
}
