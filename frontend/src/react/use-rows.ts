"use client";
import { type FocusEvent, useEffect, useState } from "react";
import { type Row, steadyRows } from "../display/steady-rows.js";
import type { Notification } from "../events.js";
import type { Notifications } from "./hooks.js";

const UNDO_FOR = 6_000; // milliseconds

/** Where a row went, which is also the name of its label. */
export type Removal = "archived" | "unarchived" | "removed";

/** The rows of a list that does not move under the pointer or the focus, and whose removals can be undone. */
export interface Rows {
  readonly rows: readonly Row[];
  /** How many arrived and are not shown yet. */
  readonly waiting: number;
  /** Show them now. */
  showWaiting(): void;
  /** Where each row went that can be restored. */
  readonly removals: ReadonlyMap<number, Removal>;
  /** Resolves when the service has done it; for `removed`, when it can no longer be undone. Rejects if it refuses. */
  put(id: number, where: Removal): Promise<void>;
  /** Undo it. */
  restore(id: number): Promise<void>;
  /** Handlers for the element around the rows: they detect when the list must not move. */
  readonly holdHandlers: {
    onPointerEnter(): void;
    onPointerLeave(): void;
    onFocus(event: FocusEvent): void;
    onBlur(event: FocusEvent): void;
  };
}

/** Follows an inbox; another `key` means another inbox. `others` are notifications known beside it. */
export function useRows(inbox: Notifications, key: string, others: readonly Notification[]): Rows {
  const [isPointed, setPointed] = useState(false);
  const [isFocused, setFocused] = useState(false);
  const [removals, setRemovals] = useState<ReadonlyMap<number, Removal>>(new Map());
  const [{ of, rows: before }, set] = useState<{ of: string; rows: readonly Row[] }>({ of: key, rows: [] });
  const shown = of === key ? before : [];
  const setShown = (rows: readonly Row[]) => set({ of: key, rows });
  const next = (isSteady: boolean) =>
    steadyRows(shown, inbox.notifications, new Set(removals.keys()), isSteady, others);
  const { rows, waiting } = next(isPointed || isFocused);
  if (of !== key || !isSame(rows, shown)) setShown(rows);
  useLeaving(inbox.flush);

  const mark = (id: number, where: Removal | null) =>
    setRemovals(
      (before) => new Map([...before].filter(([removed]) => removed !== id).concat(where ? [[id, where]] : [])),
    );

  const put = async (id: number, where: Removal) => {
    mark(id, where);
    try {
      if (where === "removed") await inbox.remove(id, { undoFor: UNDO_FOR });
      else await (where === "archived" ? inbox.archive(id) : inbox.unarchive(id));
    } catch (problem) {
      mark(id, null);
      throw problem;
    }
    if (where === "removed") mark(id, null);
    else setTimeout(mark, UNDO_FOR, id, null);
  };

  const restore = async (id: number) => {
    const where = removals.get(id);
    mark(id, null);
    if (where === "removed") inbox.restore(id);
    else await (where === "archived" ? inbox.unarchive(id) : inbox.archive(id));
  };

  return {
    rows,
    waiting,
    showWaiting: () => setShown(next(false).rows),
    removals,
    put,
    restore,
    holdHandlers: {
      onPointerEnter: () => setPointed(true),
      onPointerLeave: () => setPointed(false),
      onFocus: ({ target, currentTarget }) => setFocused(isInRow(target, currentTarget)),
      onBlur: ({ relatedTarget, currentTarget }) => setFocused(isInRow(relatedTarget, currentTarget)),
    },
  };
}

function isInRow(target: EventTarget | null, list: Element): boolean {
  const element = target as Element | null;
  return list.contains(element) && Boolean(element?.closest("[data-id]"));
}

function isSame(some: readonly Row[], others: readonly Row[]): boolean {
  const isEqual = (row: Row, other: Row | undefined) =>
    row.notification === other?.notification && row.state === other.state;
  return some.length === others.length && some.every((row, index) => isEqual(row, others[index]));
}

/** Calls `act` when the page is hidden or left, and when the component goes. */
function useLeaving(act: () => void): void {
  useEffect(() => {
    const hide = () => document.visibilityState === "hidden" && act();
    document.addEventListener("visibilitychange", hide);
    window.addEventListener("pagehide", act);
    return () => {
      document.removeEventListener("visibilitychange", hide);
      window.removeEventListener("pagehide", act);
      act();
    };
  }, [act]);
}
