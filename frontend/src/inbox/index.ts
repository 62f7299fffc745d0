export { createInbox } from "./inbox.js";
export type { Inbox, InboxOptions, InboxSnapshot, InitialInbox } from "./types.js";
