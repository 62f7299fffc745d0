import { expect, test } from "vitest";
import { dayOf, ENGLISH, LOCALES, loadLabels, relativeTime, safeLink } from "../src/display/index.js";
import { type Row, steadyRows } from "../src/display/steady-rows.js";
import type { Notification } from "../src/events.js";

const NOW = Date.parse("2026-11-23T21:00:00Z");

test.each([
  ["2026-11-23T20:59:59Z", "en", "now"],
  ["2026-11-23T21:00:30Z", "en", "now"],
  ["2026-11-23T20:58:30.123456Z", "en", "1 minute ago"],
  ["2026-11-23T18:00:00Z", "de", "vor 3 Stunden"],
  ["2026-11-22T20:00:00Z", "en", "yesterday"],
  ["2026-11-01T21:00:00Z", "ja", "3 週間前"],
  ["2024-11-01T21:00:00Z", "en", "2 years ago"],
])("%s is, in %s, %s", (at, locale, text) => {
  expect(relativeTime(at, locale, NOW)).toBe(text);
});

test("a row's day is that of its heading, also a little after midnight", () => {
  const now = new Date(2026, 10, 23, 1).getTime(); // the reader's time
  const at = new Date(2026, 10, 21, 23).toISOString();
  expect([relativeTime(at, "en", now), dayOf(at, "en", now)]).toEqual(["2 days ago", "Saturday, November 21"]);
});

test("labels and links need no React", () => {
  expect([ENGLISH.badge(99), ENGLISH.badge(100)]).toEqual(["99", "99+"]);
  expect(safeLink("javascript:alert(1)")).toBe(undefined);
  expect(safeLink("/there")).toBe("/there");
});

const list = (...ids: number[]) => ids.map((id) => ({ id }) as Notification);
const NONE = new Set<number>();

/** What is shown, in a word each: `2` is there, `(2)` can be undone, `-2` is gone. */
function shown(rows: readonly Row[]): string {
  const show = { here: "N", removed: "(N)", gone: "-N" };
  return rows.map(({ notification, state }) => show[state].replace("N", String(notification.id))).join(" ");
}

function after(before: readonly Row[], ids: number[], removed: ReadonlySet<number>, isSteady: boolean): string {
  const { rows, waiting } = steadyRows(before, list(...ids), removed, isSteady);
  expect(steadyRows(rows, list(...ids), removed, isSteady)).toEqual({ rows, waiting }); // it comes to rest
  return `${shown(rows)} +${waiting}`;
}

test("rows follow the inbox, and stay where they are while they are isSteady", () => {
  const { rows } = steadyRows([], list(3, 2, 1), NONE, true);
  expect(shown(rows)).toBe("3 2 1");
  expect(after(rows, [4, 2, 1], NONE, false)).toBe("4 2 1 +0");
  expect(after(rows, [5, 4, 3, 2, 1], NONE, true)).toBe("3 2 1 +2");
  expect(after(rows, [3, 1], NONE, true)).toBe("3 -2 1 +0");
  expect(after(rows, [2, 3, 1], NONE, true)).toBe("3 2 1 +0"); // brought to the top again
  expect(after(rows, [2, 3, 1], NONE, false)).toBe("2 3 1 +0");
  expect(after(rows, [4, 3, 2, 1, 0], NONE, true)).toBe("3 2 1 0 +1"); // older ones move nothing
});

test("what can be undone keeps its place", () => {
  const { rows } = steadyRows([], list(3, 2, 1), NONE, false);
  for (const isSteady of [true, false]) {
    expect(after(rows, [3, 1], new Set([2]), isSteady)).toBe("3 (2) 1 +0");
    expect(after(rows, [2, 1], new Set([3]), isSteady)).toBe("(3) 2 1 +0");
    expect(after(rows, [], new Set([3]), isSteady)).toMatch(/^\(3\).* \+0$/);
  }
  expect(after(rows, [4, 3, 1], new Set([2]), false)).toBe("4 3 (2) 1 +0");
});

test("an empty list does not wait", () => {
  const { rows } = steadyRows([], list(1), NONE, false);
  expect(after(rows, [], NONE, true)).toBe(" +0");
  expect(after([], [2], NONE, true)).toBe("2 +0");
});

const ago = (days: number) => new Date(NOW - days * 86_400_000).toISOString();

test.each([
  [0, "en", "Today"],
  [1, "de", "Gestern"],
  [1, "ja", "昨日"],
  [5, "en", "Wednesday, November 18"],
  [400, "en", "Sunday, October 19, 2025"],
])("%i days before is, in %s, the day %s", (days, locale, text) => {
  expect(dayOf(ago(days), locale, NOW)).toBe(text);
});

test.each(LOCALES)("%s has every word, in every form that its numbers need", async (locale) => {
  const words = await loadLabels(`${locale}-XX`);
  expect(Object.keys(words).filter((key) => !(key in ENGLISH))).toEqual([]);
  expect(Object.keys(ENGLISH).filter((key) => !(key in words))).toEqual([]);
  const counts = [0, 1, 2, 3, 11, 100, 1_000_000];
  const texts = counts.flatMap((count) => [
    words.unread(count),
    words.waiting(count),
    words.actors(["A", "B", "C"], count),
  ]);
  expect(texts.filter((text) => /[{}]/.test(text) || text === "")).toEqual([]);
  const differs = Object.entries(words).filter(([key, text]) => text === ENGLISH[key as keyof typeof ENGLISH]);
  expect(differs.map(([key]) => key).length).toBeLessThan(4); // "Notifications" and "Important" are French too
});

test("numbers have their plural forms", async () => {
  const [arabic, english] = [await loadLabels("ar"), await loadLabels("tlh")];
  expect(arabic.unread(2)).toBe("إشعاران غير مقروءين");
  expect(english.actors(["Ann", "Ben", "Chika"], 5)).toBe("Ann and 4 others");
  expect([english.actors(["Ann"], 3), english.actors(["Ann", "Ben"], 2)]).toEqual(["Ann (3)", "Ann and Ben"]);
  expect((await loadLabels("__proto__")).all).toBe("All");
});
