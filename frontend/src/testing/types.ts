import type { Environment } from "../environment.js";
import type { Notification } from "../events.js";
import type { GetCredential } from "../options.js";

/** A request that the code under test has sent. */
export interface FakeRequest {
  method: string;
  /** The path, and the query as it was sent. */
  path: string;
  /** What was sent as JSON. */
  body: unknown;
}

/** What makes a stream, or a provider, talk to a fake service. */
export interface FakeServiceOptions {
  user: string;
  getToken: GetCredential;
  shareTabs: false;
  environment: Partial<Environment>;
}

/** Changes of a user's notifications by a producer, or by another device. */
export interface FakeInbox {
  /** All of the user's, newest first, archived ones too. */
  readonly notifications: readonly Notification[];
  /** How many are neither read nor archived. */
  readonly unreadCount: number;
  /** How many of these came after the last `seen`. */
  readonly unseenCount: number;
  /** Create a notification. Missing fields have the service's defaults; one with the same `key` is replaced. */
  notify(fields?: Partial<Notification>): Notification;
  /** Retract the notification with this key. */
  retract(key: string): void;
  /** Mark some, or all, read. Returns how many changed, as the following do. */
  read(ids: readonly number[] | "all"): number;
  /** Mark some unread again. */
  unread(ids: readonly number[]): number;
  /** Archive some, or all. */
  archive(ids: readonly number[] | "all"): number;
  /** Bring some back from the archive. */
  unarchive(ids: readonly number[]): number;
  /** Delete some. */
  remove(ids: readonly number[]): number;
  /** Everything up to now counts as seen. */
  seen(): void;
}

/** A service for one user, without a network: `createFakeService` makes it. */
export interface FakeService extends FakeInbox {
  /** For `createNotificationStream(service.options)` and `<NotificationsProvider {...service.options}>`. */
  readonly options: FakeServiceOptions;
  /** The requests, oldest first, with long polls and opened streams. */
  readonly requests: readonly FakeRequest[];
  /** How many streams are open. */
  readonly openStreams: number;
  /** The network is down: open streams break, and each request fails. */
  disconnect(): void;
  /** It is back. A client comes back by itself, or at once with `retryNow()`. */
  reconnect(): void;
  /** Answer each request with this status, such as 401 or 503, until `refuse(null)`. */
  refuse(status: number | null): void;
  /** End the open streams as the service does; with `reconnect` false, for good. */
  end(reason?: string, reconnect?: boolean): void;
}
