export type { Inbox, InboxOptions, InboxSnapshot } from "./types.js";
