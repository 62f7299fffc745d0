import type { Notification } from "../events.js";
import type { LoggedInbox } from "./fake-inbox.js";

/** A status, and what is answered as JSON. */
export type Answer = [status: number, body?: unknown];

const LIST = "/api/notifications";
const NOT_FOUND: Answer = [404, { title: "Not found", status: 404 }];

type Ids = { ids: number[] };

/** What the service answers to anything but streams and long polls. */
export function answer(
  inbox: LoggedInbox,
  method: string,
  path: string,
  query: URLSearchParams,
  body: unknown,
): Answer {
  const updated = (count: number): Answer => [200, { updated: count, unread_count: inbox.unreadCount }];
  const { ids } = (body ?? { ids: [] }) as Ids;
  switch (`${method} ${path}`) {
    case `GET ${LIST}`:
      return [200, page(inbox, query)];
    case `GET ${LIST}/unread-count`:
      return [200, { unread_count: inbox.unreadCount }];
    case `GET ${LIST}/counts`:
      return [200, { ...inbox.counts(), by_category: byCategory(inbox) }];
    case `POST ${LIST}/read`:
      return updated(inbox.read(ids));
    case `POST ${LIST}/read-all`:
      return updated(inbox.read("all"));
    case `POST ${LIST}/unread`:
      return updated(inbox.unread(ids));
    case `POST ${LIST}/archive`:
      return updated(inbox.archive(ids));
    case `POST ${LIST}/archive-all`:
      return updated(inbox.archive("all"));
    case `POST ${LIST}/unarchive`:
      return updated(inbox.unarchive(ids));
    case `POST ${LIST}/seen`:
      inbox.seen();
      return [200, { unseen_count: 0 }];
    case "POST /api/sse/tickets":
      return [201, { ticket: "a-ticket", expires_in: 60 }];
    default:
      return byId(inbox, method, Number(path.replace(`${LIST}/`, "")));
  }
}

function byId(inbox: LoggedInbox, method: string, id: number): Answer {
  const notification = inbox.notifications.find((each) => each.id === id);
  if (!notification || (method !== "GET" && method !== "DELETE")) return NOT_FOUND;
  if (method === "GET") return [200, notification];
  inbox.remove([id]);
  return [204];
}

function page(inbox: LoggedInbox, query: URLSearchParams) {
  const limit = Number(query.get("limit") ?? 50);
  const matching = inbox.notifications.filter((each) => matches(each, query));
  const shown = matching.slice(0, limit);
  return {
    notifications: shown,
    unread_count: inbox.unreadCount,
    next_before: matching.length > limit ? (shown.at(-1)?.position ?? null) : null,
    cursor: inbox.cursor,
  };
}

function matches(each: Notification, query: URLSearchParams): boolean {
  const text = `${each.title}\n${each.message}`.toLowerCase();
  const words = (query.get("q") ?? "").toLowerCase().split(/\s+/);
  return (
    each.position < Number(query.get("before") ?? Number.POSITIVE_INFINITY) &&
    (each.archived_at !== null) === (query.get("archived") === "true") &&
    [null, String(!each.is_read)].includes(query.get("unread")) &&
    [null, each.type].includes(query.get("type")) &&
    [null, each.category].includes(query.get("category")) &&
    words.every((word) => text.includes(word))
  );
}

function byCategory(inbox: LoggedInbox): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { category, is_read, archived_at } of inbox.notifications) {
    if (category !== null && !is_read && archived_at === null) counts[category] = (counts[category] ?? 0) + 1;
  }
  return counts;
}
