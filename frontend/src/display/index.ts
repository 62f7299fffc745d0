export type { Labels } from "./labels.js";
export { ENGLISH } from "./labels.js";
export { safeLink } from "./link.js";
export { relativeTime } from "./relative-time.js";
