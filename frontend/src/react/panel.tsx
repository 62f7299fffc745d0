"use client";
import { type ReactNode, type RefObject, useEffect, useLayoutEffect, useRef } from "react";

const GAP = 6; // pixels between the bell and its panel
const MARGIN = 8; // between the panel and the edges of the window

/** Which edge of the bell the panel keeps to, in the direction of the text; it is moved where it would not fit. */
export type PanelAlign = "start" | "center" | "end";

interface PanelProps {
  id: string;
  label: string;
  /** What it hangs from. */
  anchor: RefObject<HTMLElement | null>;
  align: PanelAlign;
  children: ReactNode;
}

/** What a bell opens: in the browser's top layer, so that nothing around it cuts it off or covers it. */
export function Panel({ id, label, anchor, align, children }: PanelProps): ReactNode {
  const panel = useRef<HTMLDivElement>(null);

  useLayoutEffect(() => {
    const opened = panel.current as HTMLDivElement;
    opened.showPopover?.();
    return place(anchor.current as HTMLElement, opened, align);
  }, [anchor, align]);

  useEffect(() => {
    panel.current?.focus({ preventScroll: true });
  }, []);

  return (
    <div ref={panel} id={id} role="dialog" aria-label={label} tabIndex={-1} popover="manual" className="shirase-panel">
      {children}
    </div>
  );
}

/** Keep a panel beside its anchor, inside the window. Returns the function that ends it. */
function place(anchor: HTMLElement, panel: HTMLElement, align: PanelAlign): () => void {
  const update = (event?: unknown) => {
    if (!panel.isConnected) return;
    if (event instanceof Event && event.target instanceof Node && panel.contains(event.target)) return; // the panel itself scrolls
    const { clientWidth: width, clientHeight: height } = document.documentElement;
    const { left, right, top, bottom } = anchor.getBoundingClientRect();
    const [above, below] = [top - GAP - MARGIN, height - bottom - GAP - MARGIN];
    panel.style.maxWidth = `${width - 2 * MARGIN}px`;
    const isAbove = panel.scrollHeight > below && above > below;
    panel.style.maxHeight = `min(32em, ${Math.max(0, isAbove ? above : below)}px)`;
    const { offsetWidth, offsetHeight } = panel;
    const isLeft = (align === "start") === (getComputedStyle(anchor).direction === "ltr");
    const x = align === "center" ? (left + right - offsetWidth) / 2 : isLeft ? left : right - offsetWidth;
    const y = isAbove ? top - GAP - offsetHeight : bottom + GAP;
    move(panel, Math.max(MARGIN, Math.min(x, width - MARGIN - offsetWidth)), Math.max(MARGIN, y));
  };
  // In the next frame, since browsers report an error if a ResizeObserver's callback changes sizes.
  const observer = globalThis.ResizeObserver && new ResizeObserver(() => requestAnimationFrame(update));
  for (const each of [anchor, panel]) observer?.observe(each);
  window.addEventListener("scroll", update, true); // also of anything around the bell
  window.addEventListener("resize", update);
  update();
  return () => {
    observer?.disconnect();
    window.removeEventListener("scroll", update, true);
    window.removeEventListener("resize", update);
  };
}

/** Put an element somewhere in the window. Without a top layer (older browsers) it may lie in one that is transformed. */
function move(element: HTMLElement, x: number, y: number): void {
  const { left, top } = element.getBoundingClientRect();
  element.style.left = `${(Number.parseFloat(element.style.left) || 0) + x - left}px`;
  element.style.top = `${(Number.parseFloat(element.style.top) || 0) + y - top}px`;
}
