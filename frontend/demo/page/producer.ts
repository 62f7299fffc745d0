import type { Notification } from "shirase";
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
export async function send({ getToken }: Session, users: string[], draft: Draft): Promise<Notification[]> {
  const notifications = users.map((user_id) => ({ user_id, ...draft }));
  const one = notifications.length === 1;
  let answer: Response;
  try {
    answer = await fetch(one ? "/api/notifications" : "/api/notifications/batch", {
      method: "POST",
      headers: { Authorization: `Bearer ${await getToken({ refresh: false })}`, "Content-Type": "application/json" },
      body: JSON.stringify(one ? notifications[0] : { notifications }),
    });
  } catch {
    throw new Refused("The service does not answer.");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(body.detail ?? body.title ?? `The service answered ${answer.status}.`, body.errors);
  return one ? [body] : body.notifications;
}

/** The error of one field: in a batch it is named by a path, such as `notifications.0.title`. */
export function errorOf(errors: FieldError[], name: string): string | undefined {
  return errors.find(({ field }) => field.split(/[.[\]]+/).includes(name))?.message;
}
