"use client";
import { type MouseEvent, type ReactNode, useContext } from "react";
import { safeLink } from "../display/index.js";
import type { Row } from "../display/steady-rows.js";
import type { Notification } from "../events.js";
import { Content } from "./content.js";
import { CloseContext, useProvided } from "./context.js";
import { Icon } from "./icon.js";
import type { NotificationListProps } from "./list.js";

interface NotificationItemProps extends Pick<NotificationListProps, "children" | "linkTo" | "onSelect"> {
  notification: Notification;
  state: Row["state"];
  /** It arrived while the list was shown. */
  isFresh: boolean;
  markAsRead: () => void;
  remove: () => void;
  restore: () => void;
}

/** One notification, and what can be done to it; of one that was removed, the place. */
export function NotificationItem(props: NotificationItemProps): ReactNode {
  const { notification, state, isFresh, children } = props;
  const { id, type, title, is_read } = notification;
  const isHere = state === "here";
  return (
    <li
      className={isHere ? "shirase-item" : "shirase-removed"}
      data-id={id}
      data-type={type}
      data-read={is_read}
      data-fresh={isFresh}
    >
      {/* What was removed stays in its place unseen, so that the place keeps its height. */}
      <Content
        notification={notification}
        isHidden={!isHere}
        title={isHere ? <Title {...props} /> : title}
        below={children?.(notification)}
      />
      {isHere ? <Actions {...props} /> : <Removed {...props} />}
    </li>
  );
}

/** Two columns, also when there is one button: what is done to a row moves nothing in it. */
function Actions({ notification: { title, is_read }, markAsRead, remove }: NotificationItemProps): ReactNode {
  const { labels } = useProvided();
  return (
    <div className="shirase-actions">
      {!is_read && (
        <button
          type="button"
          className="shirase-action shirase-mark"
          title={labels.markAsRead}
          aria-label={`${labels.markAsRead}: ${title}`}
          onClick={markAsRead}
        >
          <Icon of="check" />
        </button>
      )}
      <button
        type="button"
        className="shirase-action shirase-remove"
        data-keeps-focus=""
        title={labels.remove}
        aria-label={`${labels.remove}: ${title}`}
        onClick={remove}
      >
        <Icon of="bin" />
      </button>
    </div>
  );
}

function Removed({ notification, state, restore }: NotificationItemProps): ReactNode {
  const { labels } = useProvided();
  return (
    <div className="shirase-removed-text">
      {labels.removed}
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

/** A link if there is a safe address, a button if somebody wants to know of a choice, and otherwise text. */
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

function ownUrl({ url, payload }: Notification): unknown {
  return url ?? payload["url"];
}
