"use client";
import { type FocusEvent, useEffect, useLayoutEffect, useRef } from "react";

const useBeforePaint = typeof window === "undefined" ? useEffect : useLayoutEffect;

/**
 * Keeps the keyboard's place in a list whose items come and go.
 *
 * When the item that has the focus is removed, or the button in it, its neighbour gets the focus: otherwise the browser
 * would begin again at the top of the page.
 *
 * @param items changes when the list does.
 * @returns `handlers` for the list, whose items have a `data-id` and in them something with `data-keeps-focus`, and
 * `fallback` for what gets the focus when the list is empty.
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
    const item = all.find(({ dataset }) => dataset["id"] === id) ?? all[Math.min(index, all.length - 1)];
    (item?.querySelector<HTMLElement>("[data-keeps-focus]") ?? fallback.current)?.focus();
  }, [items]);

  const onFocus = ({ currentTarget: list, target }: FocusEvent<HTMLElement>) => {
    const item = target.closest<HTMLElement>("[data-id]");
    if (item) focused.current = { list, id: item.dataset["id"] ?? "", index: [...list.children].indexOf(item) };
  };
  const onBlur = () => {
    // The focus was taken elsewhere. React tells of no blur while it removes what had it.
    focused.current = null;
  };
  return { handlers: { onFocus, onBlur }, fallback };
}
