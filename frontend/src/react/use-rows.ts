"use client";
import { type FocusEvent, useEffect, useState } from "react";
import { type Row, steadyRows } from "../display/steady-rows.js";
import type { Notifications } from "./hooks.js";

const UNDO_FOR = 6_000; // milliseconds

/** The rows of a list that does not move under the pointer or the focus, and whose removals can be undone. */
export interface Rows {
  readonly rows: readonly Row[];
  /** How many have arrived and are not shown yet. */
  readonly waiting: number;
  /** Show them now. */
  showWaiting(): void;
  /** Settles when the removal has been carried out, or undone; rejects if it was refused. */
  remove(id: number): Promise<void>;
  restore(id: number): void;
  /** For what is around the rows: they tell whether the list must not move. */
  readonly holdHandlers: {
    onPointerEnter(): void;
    onPointerLeave(): void;
    onFocus(event: FocusEvent): void;
    onBlur(event: FocusEvent): void;
  };
}

/** Follows an inbox. */
export function useRows(inbox: Notifications): Rows {
  const [isPointed, setPointed] = useState(false);
  const [isFocused, setFocused] = useState(false);
  const [removed, setRemoved] = useState<ReadonlySet<number>>(new Set());
  const [shown, setShown] = useState<readonly Row[]>([]);
  const next = (held: boolean) => steadyRows(shown, inbox.notifications, removed, held);
  const { rows, waiting } = next(isPointed || isFocused);
  if (!isSame(rows, shown)) setShown(rows);
  useLeaving(inbox.flush);

  const mark = (id: number, isRemoved: boolean) =>
    setRemoved((before) => new Set([...before].filter((one) => one !== id).concat(isRemoved ? id : [])));

  const remove = async (id: number) => {
    mark(id, true);
    try {
      await inbox.remove(id, { undoFor: UNDO_FOR });
    } finally {
      mark(id, false);
    }
  };

  return {
    rows,
    waiting,
    showWaiting: () => setShown(next(false).rows),
    remove,
    restore: inbox.restore,
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
  const isEqual = (one: Row, other: Row | undefined) =>
    one.notification === other?.notification && one.state === other.state;
  return some.length === others.length && some.every((one, index) => isEqual(one, others[index]));
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
