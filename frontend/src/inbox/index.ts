export type { CountsSnapshot } from "./counts.js";
export { createInbox } from "./inbox.js";
export type { Inbox, InboxOptions, InboxSnapshot, Page } from "./types.js";
export type { InboxFilter } from "./view.js";
