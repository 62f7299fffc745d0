export type { ApiError } from "./api-error.js";
export { isApiError } from "./api-error.js";
export { ticketsFrom } from "./caller.js";
export type { Environment, PageEvents } from "./environment.js";
export type {
  AnyNotification,
  EventData,
  EventName,
  EventOf,
  Notification,
  NotificationOf,
  Payloads,
  StreamEvent,
} from "./events.js";
export { EVENT_NAMES, isOfType } from "./events.js";
export type { CredentialRequest, Credentials, GetCredential, StreamOptions } from "./options.js";
export type { ClosedReason, StreamError, StreamState } from "./state.js";
export { createNotificationStream } from "./stream.js";
export { fetchToken } from "./token.js";
export type { NotificationStream } from "./types.js";
