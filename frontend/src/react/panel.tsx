"use client";
import { computePosition, flip, offset, shift, size } from "@floating-ui/dom";
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
    const floating = panel.current as HTMLDivElement;
    floating.showPopover?.();
    return place(anchor.current as HTMLElement, floating, align);
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

/** Keep a panel beside its anchor. Returns the function that ends it. */
function place(anchor: HTMLElement, panel: HTMLElement, align: PanelAlign): () => void {
  const placement = align === "center" ? "bottom" : (`bottom-${align}` as const);
  const limit = size({
    padding: MARGIN,
    apply({ availableWidth, availableHeight }) {
      panel.style.maxWidth = `${availableWidth}px`;
      panel.style.maxHeight = `min(32em, ${availableHeight}px)`;
    },
  });
  const middleware = [offset(GAP), flip({ padding: MARGIN, crossAxis: false }), shift({ padding: MARGIN }), limit];
  const update = async () => {
    const { x, y } = await computePosition(anchor, panel, { strategy: "fixed", placement, middleware });
    panel.style.left = `${x}px`;
    panel.style.top = `${y}px`;
  };
  const observer = globalThis.ResizeObserver && new ResizeObserver(update);
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
