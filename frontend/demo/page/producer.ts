import type { Notification } from "shirase";
import type { Expected } from "./arrivals.js";
import type { Session } from "./session.js";

/** What a producer sends. */
export interface Draft {
  type: string;
  title: string;
  message: string;
  payload?: unknown;
}

/** What is wrong with one field, by the field's name. */
export interface FieldError {
  field: string;
  message: string;
}

/** What the service answers for each. */
type Made = Notification | { muted: true };

/** The service took nothing. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly errors: FieldError[] = [],
  ) {
    super(message);
  }
}

/**
 * Create one notification for each user, all or none.
 *
 * @throws Refused with what is wrong with which field, or with the reason in a sentence.
 */
export async function send(session: Session, users: string[], draft: Draft): Promise<Expected[]> {
  const notifications = users.map((user_id) => ({ user_id, ...draft }));
  const [only, ...others] = notifications;
  const made =
    others.length > 0
      ? ((await post(session, "/api/notifications/batch", { notifications })) as { notifications: Made[] })
          .notifications
      : [(await post(session, "/api/notifications", only)) as Made];
  return made.map((one, index) => ("muted" in one ? { user_id: users[index] ?? "", title: draft.title, ...one } : one));
}

/**
 * Announce something to everyone; these users are watched.
 *
 * @throws Refused as `send`.
 */
export async function announce(session: Session, users: string[], draft: Draft): Promise<Expected[]> {
  await post(session, "/api/announcements", { topic: "everyone", ...draft });
  return users.map((user_id) => ({ user_id, title: draft.title }));
}

async function post({ getToken }: Session, path: string, content: unknown): Promise<unknown> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { Authorization: `Bearer ${await getToken({ refresh: false })}`, "Content-Type": "application/json" },
      body: JSON.stringify(content),
    });
  } catch {
    throw new Refused("The service does not answer.");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(body.detail ?? body.title ?? `The service answered ${answer.status}.`, body.errors);
  return body;
}

/** The error of one field: in a batch it is named by a path, such as `notifications.0.title`. */
export function errorOf(errors: FieldError[], name: string): string | undefined {
  return errors.find(({ field }) => field.split(/[.[\]]+/).includes(name))?.message;
}
