import { screen } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import axe from "axe-core";
import { expect, test } from "vitest";
import type { Preferences } from "../../src/preferences/index.js";
import { NotificationBell, NotificationList } from "../../src/react/index.js";
import { NotificationPreferences, useMute } from "../../src/react/preferences/index.js";
import { createScriptedServer } from "../scripted-server.js";
import { renderApp, settle, talkTo } from "./app.js";

const MAIL = [{ channel: "email", after: "10m", unless: "read" }];
const TYPES = [
  {
    type: "a.b",
    label: "Interviews",
    description: "When one is moved",
    category: "c",
    critical: false,
    channels: MAIL,
  },
  { type: "x", label: "", description: "", category: null, critical: false, channels: [] },
  { type: "s", label: "Security", description: "", category: null, critical: true, channels: MAIL },
];

/** A `fetch` with preferences, before the scripted server's own. */
function withPreferences(refuse = false) {
  const stored: { preferences: Preferences; puts: number } = { preferences: { rules: [], quiet: null }, puts: 0 };
  const scripted = createScriptedServer();
  const fetch = async (url: string, init?: RequestInit) => {
    if (url.endsWith("/api/types")) return Response.json({ types: TYPES });
    if (!url.endsWith("/api/preferences")) return scripted.fetch(url, init);
    if (init?.method === "PUT") {
      stored.puts += 1;
      if (refuse) return Response.json({ title: "no" }, { status: 503 });
      stored.preferences = JSON.parse(String(init.body));
    }
    return Response.json(stored.preferences);
  };
  return { stored, scripted, environment: { ...talkTo(scripted).environment, fetch } };
}

const box = (name: string) => screen.getByRole<HTMLInputElement>("checkbox", { name });

test("a grid of real checkboxes has a row for each type", async () => {
  const { environment } = withPreferences();
  await renderApp(<NotificationPreferences />, { environment });
  expect(screen.getAllByRole("checkbox").map((box) => box.getAttribute("aria-label"))).toEqual([
    "Interviews: Inbox",
    "Interviews: Email",
    "x: Inbox",
    "Security: Inbox",
    "Security: Email",
  ]);
  expect(box("Security: Email").disabled).toBe(true);
  const { violations } = await axe.run(document.body, {
    rules: { region: { enabled: false }, "color-contrast": { enabled: false } }, // jsdom has neither a page nor colours
  });
  expect(violations).toEqual([]);
});

test("a checkbox changes its rule alone", async () => {
  const { stored, environment } = withPreferences();
  const quiet = { from: "22:00", to: "07:00", timezone: "Asia/Tokyo" };
  stored.preferences = { rules: [{ scope: "c", channel: "email", enabled: false }], quiet };
  await renderApp(<NotificationPreferences />, { environment });
  expect(box("Interviews: Email").checked).toBe(false);
  await userEvent.click(box("Interviews: Email"));
  await settle();
  expect(box("Interviews: Email").checked).toBe(true);
  expect(stored.preferences.quiet).toEqual(quiet);
  expect(stored.preferences.rules).toEqual([
    { scope: "c", channel: "email", enabled: false },
    { scope: "a.b", channel: "email", enabled: true },
  ]);
});

test("what the service refuses is taken back and offered again", async () => {
  const { stored, environment } = withPreferences(true);
  await renderApp(<NotificationPreferences />, { environment });
  await userEvent.click(box("x: Inbox"));
  await settle();
  expect(box("x: Inbox").checked).toBe(true);
  await userEvent.click(screen.getByRole("button", { name: "Try again" }));
  await settle();
  expect(stored.puts).toBe(2);
});

test("a change on another device is shown", async () => {
  const { scripted, environment } = withPreferences();
  const { happen } = await renderApp(<NotificationPreferences />, { environment });
  const rules: Preferences["rules"] = [{ scope: "x", channel: "inbox", enabled: false }];
  await happen(() =>
    scripted.latest.send("preferences", { rules, quiet: null, unread_count: 0, unseen_count: 0 }, "c-9"),
  );
  expect(box("x: Inbox").checked).toBe(false);
});

function ListWithMute() {
  return <NotificationList mute={useMute()} />;
}

test("a row's button mutes its type", async () => {
  const { stored, scripted, environment } = withPreferences();
  const made = scripted.create("One");
  await renderApp(<ListWithMute />, { environment });
  await userEvent.click(screen.getByRole("button", { name: "Mute this kind: One" }));
  await settle();
  expect(stored.preferences.rules).toEqual([{ scope: made.type, channel: "inbox", enabled: false, until: null }]);
});

function BellWithMute() {
  return <NotificationBell mute={useMute()} />;
}

test("the bell's rows mute a type too, and its panel stays open", async () => {
  const { stored, scripted, environment } = withPreferences();
  const made = scripted.create("One");
  await renderApp(<BellWithMute />, { environment });
  await userEvent.click(screen.getByRole("button", { name: "Notifications, 1 unread" }));
  await settle();
  await userEvent.click(screen.getByRole("button", { name: "Mute this kind: One" }));
  await settle();
  expect(stored.preferences.rules).toEqual([{ scope: made.type, channel: "inbox", enabled: false, until: null }]);
  expect(screen.getByRole("dialog", { name: "Notifications" })).toBeTruthy();
});

test("a mute that the service refuses is offered again in the bell", async () => {
  const { stored, scripted, environment } = withPreferences(true);
  scripted.create("One");
  await renderApp(<BellWithMute />, { environment });
  await userEvent.click(screen.getByRole("button", { name: "Notifications, 1 unread" }));
  await settle();
  await userEvent.click(screen.getByRole("button", { name: "Mute this kind: One" }));
  await settle();
  await userEvent.click(screen.getByRole("button", { name: "Try again" }));
  await settle();
  expect(stored.puts).toBe(2);
});

test("without mute a bell has no such button", async () => {
  await renderApp(<NotificationBell />, { titles: ["One"] });
  await userEvent.click(screen.getByRole("button", { name: "Notifications, 1 unread" }));
  await settle();
  expect(screen.queryByRole("button", { name: /Mute/ })).toBe(null);
});

test("a muted type that the catalogue lacks has a row, to bring it back", async () => {
  const { stored, environment } = withPreferences();
  const mutes = ["odd.type", "c", "*"].map((scope) => ({ scope, channel: "inbox" as const, enabled: false }));
  stored.preferences = { rules: mutes, quiet: null };
  await renderApp(<NotificationPreferences />, { environment });
  expect(screen.getAllByRole("row").length).toBe(1 + TYPES.length + 1);
  await userEvent.click(box("odd.type: Inbox"));
  await settle();
  expect(box("odd.type: Inbox").checked).toBe(true);
  expect(stored.preferences.rules).toContainEqual({ scope: "odd.type", channel: "inbox", enabled: true });
});

test("a signed-out user is asked to sign in", async () => {
  const { environment } = withPreferences();
  await renderApp(<NotificationPreferences />, { environment, user: null, onSignIn: () => {} });
  expect(screen.getByRole("button", { name: "Sign in" })).toBeTruthy();
  expect(screen.queryAllByRole("checkbox")).toEqual([]);
});
