export type { Labels } from "./labels.js";
export { ENGLISH } from "./labels.js";
export { safeLink } from "./link.js";
export { relativeTime } from "./relative-time.js";
export type { Readable } from "./store.js";
export { asStore } from "./store.js";
