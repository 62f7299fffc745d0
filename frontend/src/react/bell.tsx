"use client";
import { type FocusEvent, type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { classNames } from "./class-names.js";
import { CloseContext, useProvided } from "./context.js";
import { useNotifications } from "./hooks.js";
import { Icon } from "./icon.js";
import { NotificationList, type NotificationListProps } from "./list.js";
import { Panel, type PanelAlign } from "./panel.js";
import { useNavigation } from "./use-navigation.js";

/** What `NotificationBell` takes. */
export interface NotificationBellProps extends Pick<NotificationListProps, "mute"> {
  className?: string | undefined;
  /** What the panel holds. A `NotificationList` by default, which `mute` is for. */
  children?: ReactNode;
  /** Whether the panel is open, if the page decides it. */
  open?: boolean | undefined;
  /** The panel opens or closes, or should, if `open` decides it. */
  onOpenChange?: ((open: boolean) => void) | undefined;
  /** Which edge of the bell the panel keeps to, in the direction of the text. It never leaves the window. `end`. */
  align?: PanelAlign | undefined;
}

/**
 * A bell with the unread count, which opens a panel with the list.
 *
 * The panel gets the focus when it opens. Escape and the choice of a notification give it back to the bell; a click or
 * a focus elsewhere closes the panel, and so does a page that goes to another address.
 */
export function NotificationBell(props: NotificationBellProps): ReactNode {
  const { className, mute, children = <NotificationList mute={mute} />, open, onOpenChange, align = "end" } = props;
  const { labels } = useProvided();
  const { unreadCount, unseenCount, markAsSeen } = useNotifications();
  const rises = useRises(unreadCount);
  const [isOpenHere, setOpenHere] = useState(false);
  const isOpen = open ?? isOpenHere;
  const panelId = useId();
  const all = useRef<HTMLDivElement>(null);
  const bell = useRef<HTMLButtonElement>(null);

  const setOpen = (next: boolean) => {
    setOpenHere(next);
    if (next !== isOpen) onOpenChange?.(next);
  };
  const close = () => {
    const root = all.current?.getRootNode() as Document | ShadowRoot | undefined;
    if (all.current?.contains(root?.activeElement ?? null)) bell.current?.focus();
    setOpen(false);
  };
  useNavigation(isOpen, close);
  useEffect(() => {
    if (isOpen && unseenCount) markAsSeen().catch(() => {}); // the next one that arrives tries it again
  }, [isOpen, unseenCount, markAsSeen]);
  usePressOutside(isOpen, all, () => setOpen(false));

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !isOpen) return;
    event.stopPropagation(); // a dialog around it stays open
    close();
  };
  const onBlur = ({ relatedTarget }: FocusEvent) => {
    // Without a target the focus goes nowhere: the window lost it, or what had it is gone.
    if (isOpen && relatedTarget && !all.current?.contains(relatedTarget as Node)) setOpen(false);
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only handles what bubbles from the button and the panel
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
        <CloseContext.Provider value={close}>
          <Panel id={panelId} label={labels.notifications} anchor={bell} align={align}>
            {children}
          </Panel>
        </CloseContext.Provider>
      )}
    </div>
  );
}

/** Calls `act` when something outside of an element is pressed, while `isActive`. */
function usePressOutside(isActive: boolean, element: { readonly current: HTMLElement | null }, act: () => void): void {
  const latest = useRef(act);
  useEffect(() => {
    latest.current = act;
  });
  useEffect(() => {
    if (!isActive) return;
    const press = (event: Event) => {
      // The path, since a press inside of a shadow tree has its host for a target.
      if (element.current && !event.composedPath().includes(element.current)) latest.current();
    };
    document.addEventListener("pointerdown", press);
    return () => document.removeEventListener("pointerdown", press);
  }, [isActive, element]);
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
