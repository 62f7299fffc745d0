export type { ApiError } from "./api-error.js";
export { isApiError } from "./api-error.js";
export type { Environment, PageEvents } from "./environment.js";
export type { EventData, EventName, EventOf, Notification, StreamEvent } from "./events.js";
export { EVENT_NAMES } from "./events.js";
export type { CredentialRequest, Credentials, GetCredential, StreamOptions } from "./options.js";
export type { ClosedReason, StreamError, StreamState } from "./state.js";
export type { NotificationStream } from "./types.js";
