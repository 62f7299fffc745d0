"use client";
import { type MouseEvent, type ReactNode, useContext } from "react";
import { safeLink } from "../display/index.js";
import type { Row } from "../display/steady-rows.js";
import type { Notification } from "../events.js";
import { Content } from "./content.js";
import { CloseContext, useProvided } from "./context.js";
import { Icon } from "./icon.js";
import type { NotificationListProps } from "./list.js";
import type { Removal } from "./use-rows.js";

/** What `Item` of the parts takes: a notification, how it stands, and what can be done to it. */
export interface NotificationItemProps extends Pick<NotificationListProps, "children" | "linkTo" | "onSelect"> {
  notification: Notification;
  /** `removed` can be undone; `gone` only keeps its place. */
  state: Row["state"];
  /** Where it went, if it was removed here. */
  removal: Removal | undefined;
  /** It arrived while the list was shown. */
  isFresh: boolean;
  markAsRead: () => void;
  markAsUnread: () => void;
  archive: () => void;
  unarchive: () => void;
  remove: () => void;
  /** Mute its type; `undefined` if the list does not offer that. */
  mute?: (() => void) | undefined;
  restore: () => void;
}

/** A notification with its actions, or the place of a removed one. */
export function NotificationItem(props: NotificationItemProps): ReactNode {
  const { notification, state, isFresh, children, markAsRead } = props;
  const { id, type, title, is_read, priority } = notification;
  const { parts } = useProvided();
  const isHere = state === "here";
  return (
    <li
      className={isHere ? "shirase-item" : "shirase-removed"}
      data-id={id}
      data-type={type}
      data-read={is_read}
      data-priority={priority}
      data-fresh={isFresh}
    >
      <parts.Avatar notification={notification} />
      {/* What was removed stays in its place unseen, so that the place keeps its height. */}
      <Content
        notification={notification}
        isHidden={!isHere}
        title={isHere ? <Title {...props} /> : title}
        below={children?.(notification)}
        onAct={() => !is_read && markAsRead()}
      />
      {isHere ? <parts.Actions {...props} /> : <Removed {...props} />}
    </li>
  );
}

/** The buttons of a row: read or unread, archive or back, delete. */
export function ItemActions(props: NotificationItemProps): ReactNode {
  const { labels } = useProvided();
  const { is_read, archived_at } = props.notification;
  return (
    <div className="shirase-actions">
      {is_read ? (
        <Action of="dot" name="unmark" label={labels.markAsUnread} act={props.markAsUnread} {...props} />
      ) : (
        <Action of="check" name="mark" label={labels.markAsRead} act={props.markAsRead} {...props} />
      )}
      {archived_at === null ? (
        <Action of="archive" name="archive" label={labels.toArchive} act={props.archive} keepsFocus {...props} />
      ) : (
        <Action of="inbox" name="unarchive" label={labels.fromArchive} act={props.unarchive} keepsFocus {...props} />
      )}
      {props.mute && <Action of="mute" name="mute" label={labels.mute} act={props.mute} {...props} />}
      <Action of="bin" name="remove" label={labels.remove} act={props.remove} {...props} />
    </div>
  );
}

interface ActionProps extends Pick<NotificationItemProps, "notification"> {
  of: Parameters<typeof Icon>[0]["of"];
  name: string;
  label: string;
  act: () => void;
  keepsFocus?: boolean;
}

function Action({ of, name, label, act, keepsFocus, notification }: ActionProps): ReactNode {
  return (
    <button
      type="button"
      className={`shirase-action shirase-${name}`}
      data-keeps-focus={keepsFocus ? "" : undefined}
      title={label}
      aria-label={`${label}: ${notification.title}`}
      onClick={act}
    >
      <Icon of={of} />
    </button>
  );
}

function Removed({ notification, state, removal, restore }: NotificationItemProps): ReactNode {
  const { labels } = useProvided();
  return (
    <div className="shirase-removed-text">
      {removal ? labels[removal] : labels.gone}
      {state === "removed" && (
        <button
          type="button"
          className="shirase-button shirase-undo"
          data-keeps-focus=""
          aria-label={`${labels.undo}: ${notification.title}`}
          onClick={restore}
        >
          {labels.undo}
        </button>
      )}
    </div>
  );
}

/** A link if there is a safe address, a button if there is an `onSelect`, and otherwise text. */
function Title({ notification, markAsRead, linkTo = ownUrl, onSelect }: NotificationItemProps): ReactNode {
  const closePanel = useContext(CloseContext);
  const address = safeLink(linkTo(notification));
  const select = (event: MouseEvent) => {
    if (!notification.is_read) markAsRead();
    onSelect?.(notification, event);
    // With a modifier it opens elsewhere, and the user stays here.
    if (!(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)) closePanel();
  };
  if (address !== undefined) {
    return (
      <a className="shirase-link" href={address} rel="noopener noreferrer" onClick={select}>
        {notification.title}
      </a>
    );
  }
  if (!onSelect) return notification.title;
  return (
    <button type="button" className="shirase-choice" onClick={select}>
      {notification.title}
    </button>
  );
}

/** Where a notification leads: its `url`, or its payload's. */
export function ownUrl({ url, payload }: Notification): unknown {
  return url ?? payload["url"];
}
