import type { ComponentType, ReactNode } from "react";
import type { Notification } from "../events.js";
import { Avatar } from "./avatar.js";
import { ItemActions, NotificationItem, type NotificationItemProps } from "./item.js";
import { Day, Empty, Failed, Loading, SignedOut } from "./notices.js";
import { NotificationTabs, type NotificationTabsProps } from "./tabs.js";
import { type NotificationToastProps, Toast } from "./toast.js";

/** What the components are made of. Give your own for any of them as `parts` of `NotificationsProvider`. */
export interface NotificationParts {
  /** A row of the list: an `li` with the notification's id as its `data-id`. */
  Item: ComponentType<NotificationItemProps>;
  /** Who or what it is about. */
  Avatar: ComponentType<{ notification: Notification }>;
  /** The buttons of a row. */
  Actions: ComponentType<NotificationItemProps>;
  /** The heading of a day: an `li` without a `data-id`. */
  Day: ComponentType<{ day: string }>;
  /** The tabs above the list. */
  Tabs: ComponentType<NotificationTabsProps>;
  /** In the list's place: nothing there, nothing yet, not to be had, nobody signed in. */
  Empty: ComponentType<{ isSearch: boolean }>;
  Loading: ComponentType<{ children?: ReactNode }>;
  Failed: ComponentType<{ tryAgain: () => void }>;
  SignedOut: ComponentType<{ children?: ReactNode }>;
  /** One of `NotificationToasts`. */
  Toast: ComponentType<NotificationToastProps>;
}

/** The parts as they come. */
export const PARTS: NotificationParts = {
  Item: NotificationItem,
  Avatar,
  Actions: ItemActions,
  Day,
  Tabs: NotificationTabs,
  Empty,
  Loading,
  Failed,
  SignedOut,
  Toast,
};
