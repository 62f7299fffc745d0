export { createInbox } from "./inbox.js";
export type { Inbox, InboxOptions, InboxSnapshot } from "./types.js";
