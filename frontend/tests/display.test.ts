import { expect, test } from "vitest";
import { ENGLISH, relativeTime, safeLink } from "../src/display/index.js";
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

function after(before: readonly Row[], ids: number[], removed: ReadonlySet<number>, held: boolean): string {
  const { rows, waiting } = steadyRows(before, list(...ids), removed, held);
  expect(steadyRows(rows, list(...ids), removed, held)).toEqual({ rows, waiting }); // it comes to rest
  return `${shown(rows)} +${waiting}`;
}

test("rows follow the inbox, and stay where they are while they are held", () => {
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
  for (const held of [true, false]) {
    expect(after(rows, [3, 1], new Set([2]), held)).toBe("3 (2) 1 +0");
    expect(after(rows, [2, 1], new Set([3]), held)).toBe("(3) 2 1 +0");
    expect(after(rows, [], new Set([3]), held)).toMatch(/^\(3\).* \+0$/);
  }
  expect(after(rows, [4, 3, 1], new Set([2]), false)).toBe("4 3 (2) 1 +0");
});

test("an empty list does not wait", () => {
  const { rows } = steadyRows([], list(1), NONE, false);
  expect(after(rows, [], NONE, true)).toBe(" +0");
  expect(after([], [2], NONE, true)).toBe("2 +0");
});
