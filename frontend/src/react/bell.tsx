"use client";
import { type FocusEvent, type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { classNames } from "./class-names.js";
import { useProvided } from "./context.js";
import { useNotifications } from "./hooks.js";
import { Icon } from "./icon.js";
import { NotificationList } from "./list.js";

/** What `NotificationBell` takes. */
export interface NotificationBellProps {
  className?: string;
  /** What the panel holds. A `NotificationList` by default. */
  children?: ReactNode;
}

/**
 * A bell with the unread count, which opens a panel with the list.
 *
 * The panel gets the focus when it opens. Escape gives it back to the bell; a click or a focus elsewhere closes it.
 */
export function NotificationBell({ className, children = <NotificationList /> }: NotificationBellProps): ReactNode {
  const { labels } = useProvided();
  const { unreadCount } = useNotifications();
  const rises = useRises(unreadCount);
  const [isOpen, setOpen] = useState(false);
  const panelId = useId();
  const all = useRef<HTMLDivElement>(null);
  const bell = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (!isOpen) return;
    panel.current?.focus();
    const closeOutside = ({ target }: Event) => {
      if (!all.current?.contains(target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", closeOutside);
    return () => document.removeEventListener("pointerdown", closeOutside);
  }, [isOpen]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !isOpen) return;
    event.stopPropagation(); // a dialog around it stays open
    setOpen(false);
    bell.current?.focus();
  };
  const onBlur = ({ relatedTarget }: FocusEvent) => {
    // Without a target the focus goes nowhere: the window lost it, or what had it is gone.
    if (relatedTarget && !all.current?.contains(relatedTarget as Node)) setOpen(false);
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only hears what bubbles from the button and the panel
    <div ref={all} className={classNames("shirase-bell", className)} onKeyDown={onKeyDown} onBlur={onBlur}>
      <button
        ref={bell}
        type="button"
        className="shirase-bell-button"
        aria-label={`${labels.notifications}, ${labels.unread(unreadCount)}`}
        aria-haspopup="dialog"
        aria-expanded={isOpen}
        aria-controls={isOpen ? panelId : undefined}
        onClick={() => setOpen(!isOpen)}
      >
        {/* A new key starts its animation again. */}
        <span key={rises} className="shirase-bell-icon" data-rings={rises > 0}>
          <Icon of="bell" />
        </span>
        {unreadCount ? (
          <span className="shirase-badge" aria-hidden="true">
            {labels.badge(unreadCount)}
          </span>
        ) : null}
      </button>
      {isOpen && (
        <div
          ref={panel}
          id={panelId}
          role="dialog"
          aria-label={labels.notifications}
          tabIndex={-1}
          className="shirase-panel"
        >
          {children}
        </div>
      )}
    </div>
  );
}

/** How often a count has risen since it was first known. */
function useRises(count: number | null): number {
  const [seen, setSeen] = useState({ count, rises: 0 });
  if (count === seen.count) return seen.rises;
  const hasRisen = count !== null && seen.count !== null && count > seen.count;
  const next = { count, rises: seen.rises + (hasRisen ? 1 : 0) };
  setSeen(next);
  return next.rises;
}
