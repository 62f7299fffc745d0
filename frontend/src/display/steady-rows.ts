import type { Notification } from "../events.js";

/** One row of a list. `removed` can be undone; `gone` cannot, and only keeps its place. */
export interface Row {
  readonly notification: Notification;
  readonly state: "here" | "removed" | "gone";
}

/** What a list shows, and how many have arrived that it does not show yet. */
export interface SteadyRows {
  readonly rows: readonly Row[];
  readonly waiting: number;
}

/**
 * The next rows of a list. None moves while the list is `isSteady` by a pointer or the focus: new notifications wait, and
 * removed ones leave their place empty.
 *
 * @param previous what the list shows now.
 * @param notifications what the inbox has.
 * @param removed those whose removal can be undone.
 * @param others notifications known beside the inbox's: one that was read stays in its place.
 */
export function steadyRows(
  previous: readonly Row[],
  notifications: readonly Notification[],
  removed: ReadonlySet<number>,
  isSteady: boolean,
  others: readonly Notification[] = [],
): SteadyRows {
  const current = new Map(
    [...(isSteady ? others : []), ...notifications].map((notification) => [notification.id, notification]),
  );
  const kept = previous.map(({ notification }) => rowOf(notification, current, removed));
  if (kept.every(({ state }) => state === "gone")) return settled([], notifications);
  if (!isSteady) return settled(kept, notifications);
  const shown = new Set(kept.map(({ notification }) => notification.id));
  const last = notifications.reduce((latest, { id }, index) => (shown.has(id) ? index : latest), notifications.length);
  const isOlder = (index: number) => index > last;
  const older = notifications.filter(({ id }, index) => !shown.has(id) && isOlder(index));
  const waiting = notifications.filter(({ id }, index) => !shown.has(id) && !isOlder(index)).length;
  return { rows: [...kept, ...older.map(here)], waiting };
}

/** The inbox's own order, with what can still be undone behind what it was behind. */
function settled(kept: readonly Row[], notifications: readonly Notification[]): SteadyRows {
  const rows = notifications.map(here);
  kept.forEach((row, index) => {
    if (row.state !== "removed") return;
    const before = kept.slice(0, index).reverse();
    const anchor = before.find(({ notification }) => rows.some((row) => row.notification.id === notification.id));
    rows.splice(rows.findIndex((each) => each.notification.id === anchor?.notification.id) + 1, 0, row);
  });
  return { rows, waiting: 0 };
}

function rowOf(known: Notification, current: ReadonlyMap<number, Notification>, removed: ReadonlySet<number>): Row {
  const notification = current.get(known.id);
  if (notification) return here(notification);
  return { notification: known, state: removed.has(known.id) ? "removed" : "gone" };
}

function here(notification: Notification): Row {
  return { notification, state: "here" };
}
