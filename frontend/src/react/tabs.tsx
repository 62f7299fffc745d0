"use client";
import { type KeyboardEvent, type ReactNode, useRef } from "react";
import type { InboxSnapshot } from "../inbox/index.js";
import { useProvided } from "./context.js";

/** A tab above the list, and what it shows. */
export interface NotificationTab {
  /** Its name. That of "all", "unread" and "archived" is known. */
  label?: string | undefined;
  category?: string | undefined;
  unread?: boolean | undefined;
  archived?: boolean | undefined;
}

/** What `Tabs` of the parts takes. */
export interface NotificationTabsProps {
  tabs: readonly NotificationTab[];
  selected: number;
  select: (index: number) => void;
  counts: Pick<InboxSnapshot, "unreadCount" | "byCategory">;
  /** The id of what the tabs control. */
  controls: string;
}

/** The usual tabs. */
export const TABS: readonly NotificationTab[] = [{}, { unread: true }, { archived: true }];

/** Tabs with their unread counts, for the pointer and the arrow keys. */
export function NotificationTabs({ tabs, selected, select, counts, controls }: NotificationTabsProps): ReactNode {
  const { labels } = useProvided();
  const list = useRef<HTMLDivElement>(null);
  const nameOf = ({ label, category, unread, archived }: NotificationTab) =>
    label ?? category ?? (archived ? labels.archive : unread ? labels.onlyUnread : labels.all);
  const countOf = ({ category, archived, unread }: NotificationTab) => {
    if (category !== undefined && !archived) return counts.byCategory?.[category];
    return unread ? counts.unreadCount : 0;
  };
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const isRightToLeft = getComputedStyle(event.currentTarget).direction === "rtl";
    const step = { ArrowRight: isRightToLeft ? -1 : 1, ArrowLeft: isRightToLeft ? 1 : -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = (selected + step + tabs.length) % tabs.length;
    select(next);
    (list.current?.children[next] as HTMLElement | undefined)?.focus();
  };
  return (
    <div ref={list} className="shirase-tabs" role="tablist" aria-label={labels.notifications} onKeyDown={onKeyDown}>
      {tabs.map((tab, index) => {
        const count = countOf(tab);
        return (
          <button
            key={JSON.stringify(tab)}
            type="button"
            role="tab"
            className="shirase-tab"
            aria-selected={index === selected}
            aria-controls={controls}
            tabIndex={index === selected ? 0 : -1}
            onClick={() => select(index)}
          >
            {nameOf(tab)}
            {count ? <span className="shirase-tab-count">{labels.badge(count)}</span> : null}
          </button>
        );
      })}
    </div>
  );
}
