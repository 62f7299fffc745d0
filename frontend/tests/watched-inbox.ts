import { createInbox, type InboxOptions } from "../src/inbox/index.js";
import type { StreamOptions } from "../src/options.js";
import type { NotificationStream } from "../src/types.js";
import { tab } from "./scripted.js";

/** An inbox over a stream, and what it shows in brief. */
export function watch(stream: NotificationStream, options: InboxOptions = {}) {
  const inbox = createInbox(stream, options);
  const titlesOf = (which: { is_read?: boolean }) =>
    inbox
      .getSnapshot()
      .notifications.filter((item) => item.is_read === (which.is_read ?? item.is_read))
      .map(({ title }) => title);
  return {
    inbox,
    titles: () => titlesOf({}),
    unreadTitles: () => titlesOf({ is_read: false }),
    count: () => inbox.getSnapshot().unreadCount,
  };
}

/** A watched inbox over a stream of its own. */
export function open(options: Partial<StreamOptions> = {}, inboxOptions: InboxOptions = {}) {
  const stream = tab.open(options);
  return { stream, ...watch(stream, inboxOptions) };
}
