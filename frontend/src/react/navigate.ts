"use client";
import { useEffect, useRef } from "react";

/** Goes to an address of the page's own origin without loading the page anew, as a router's `push` does. */
export type Navigate = (address: string) => unknown;

const OURS = '[class^="shirase-"], [class*=" shirase-"]';

/** Go to an address: by `navigate` within the page's own origin, if there is one. */
export function goTo(address: string, navigate: Navigate | undefined): void {
  if (navigate && isOwn(address)) navigate(address);
  else location.assign(address);
}

/**
 * Have `navigate` follow the links of the components, where a browser would follow them in the same tab.
 *
 * It listens at the document, so that a handler of the page which prevents a link's default comes first.
 *
 * @returns the same function at each render; `undefined` while there is no `navigate`.
 */
export function useNavigate(navigate: Navigate | undefined): Navigate | undefined {
  const latest = useRef(navigate);
  useEffect(() => {
    latest.current = navigate;
  });
  const stable = useRef<Navigate>((address) => latest.current?.(address));
  const isActive = navigate !== undefined;
  useEffect(() => {
    if (!isActive) return;
    const follow = (event: MouseEvent) => {
      const address = ownLink(event);
      if (address === undefined) return;
      event.preventDefault();
      latest.current?.(address);
    };
    document.addEventListener("click", follow);
    return () => document.removeEventListener("click", follow);
  }, [isActive]);
  return isActive ? stable.current : undefined;
}

/** The address of the link that was clicked, if it is ours and stays in this tab and on this origin. */
function ownLink(event: MouseEvent): string | undefined {
  if (event.defaultPrevented || event.button !== 0) return undefined;
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return undefined;
  const [pressed] = event.composedPath(); // inside of a shadow tree too
  const link = pressed instanceof Element ? pressed.closest<HTMLAnchorElement>("a[href]") : null;
  if (!link?.closest(OURS) || (link.target && link.target !== "_self") || link.hasAttribute("download")) {
    return undefined;
  }
  const address = link.getAttribute("href") ?? "";
  return isOwn(address) ? address : undefined;
}

function isOwn(address: string): boolean {
  return new URL(address, location.href).origin === location.origin;
}
