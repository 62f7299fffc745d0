"use client";
import { useEffect, useRef } from "react";

// The Navigation API reports history.pushState() too; TypeScript's DOM does not know it yet.
const navigation = () => (globalThis as { navigation?: EventTarget }).navigation;

/** Calls `act` when the page goes to another address within one document, while `isActive`. */
export function useNavigation(isActive: boolean, act: () => void): void {
  const latest = useRef(act);
  useEffect(() => {
    latest.current = act;
  });
  useEffect(() => {
    if (!isActive) return;
    const from = location.href;
    const report = () => {
      if (location.href !== from) latest.current(); // routers also note other things in the history
    };
    const sources: [EventTarget | undefined, string][] = [
      [window, "popstate"],
      [window, "hashchange"],
      [navigation(), "currententrychange"],
    ];
    for (const [target, type] of sources) target?.addEventListener(type, report);
    // Where that API is missing, or does not report a router's navigation (WebKitGTK 2.52), the change of the page shows it.
    const drawn = new MutationObserver(report);
    drawn.observe(document, { childList: true, subtree: true });
    return () => {
      drawn.disconnect();
      for (const [target, type] of sources) target?.removeEventListener(type, report);
    };
  }, [isActive]);
}
