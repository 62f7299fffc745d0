"use client";
import { type FocusEvent, useEffect, useLayoutEffect, useRef } from "react";

const useBeforePaint = typeof window === "undefined" ? useEffect : useLayoutEffect;

/**
 * Keeps the keyboard's place in a list whose items come and go.
 *
 * When the item that has the focus is removed, or the button in it, the item itself or a neighbour gets the focus:
 * otherwise the browser would begin again at the top of the page.
 *
 * @param items changes when the list does.
 * @returns `handlers` for the list, whose items have a `data-id` and in them something with `data-keeps-focus`, and
 * `fallback` for what gets the focus when there is no such item.
 */
export function useKeptFocus<Fallback extends HTMLElement>(items: unknown) {
  const focused = useRef<{ list: HTMLElement; id: string; index: number } | null>(null);
  const fallback = useRef<Fallback & HTMLHeadingElement>(null);

  useBeforePaint(() => {
    if (!focused.current) return;
    const { list, id, index } = focused.current;
    const root = list.getRootNode() as Document | ShadowRoot;
    if (root.activeElement && root.activeElement !== document.body) return;
    const all = [...list.children] as HTMLElement[];
    const place = all.findIndex(({ dataset }) => dataset["id"] === id);
    const from = place < 0 ? Math.min(index, all.length - 1) : place;
    const nearest = [...all.slice(Math.max(0, from)), ...all.slice(0, Math.max(0, from)).reverse()];
    const target = nearest.map((item) => item.querySelector<HTMLElement>("[data-keeps-focus]")).find(Boolean);
    (target ?? fallback.current)?.focus({ preventScroll: place >= 0 }); // the same row is where it was
  }, [items]);

  const onFocus = ({ currentTarget: list, target }: FocusEvent<HTMLElement>) => {
    const item = target.closest<HTMLElement>("[data-id]");
    if (item) focused.current = { list, id: item.dataset["id"] ?? "", index: [...list.children].indexOf(item) };
  };
  const onBlur = ({ target }: FocusEvent) => {
    // The focus was taken elsewhere, unless what had it is being removed, for which some browsers send the event too.
    const before = focused.current;
    queueMicrotask(() => {
      if (focused.current === before && target.isConnected) focused.current = null;
    });
  };
  return { handlers: { onFocus, onBlur }, fallback };
}
