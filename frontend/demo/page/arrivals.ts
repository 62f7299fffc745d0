import type { Notification } from "shirase";

/** When which notification arrived in which panel: the page is both producer and users, so it can tell. */
export interface Arrivals {
  /** One has arrived. */
  tell(notification: Notification): void;
  /** Begin to watch for what is about to be sent. `report` is given a sentence whenever there is more to say. */
  watch(report: (sentence: string) => void): Watch;
}

/** What was sent last. Only one is watched at a time. */
export interface Watch {
  expect(sent: Expected[]): void;
  stop(): void;
}

/** A notification to come: of an announcement only the user and the title are known. */
export interface Expected {
  user_id: string;
  title: string;
  id?: number;
}

export function createArrivals(): Arrivals {
  let tellWatch: ((notification: Notification) => void) | null = null;

  function watch(report: (sentence: string) => void): Watch {
    const start = performance.now();
    const after = new Map<string, number>(); // milliseconds; a stream may be faster than the answer to the request
    let sent: Expected[] = [];

    function say(): void {
      if (sent.length === 0) return;
      const each = sent.map((one) => {
        const waited = after.get(nameOf(one));
        return waited === undefined ? `kept for ${one.user_id}` : `${one.user_id} saw it after ${Math.ceil(waited)} ms`;
      });
      report(`Sent: ${each.join(", ")}.`);
    }
    const stop = () => {
      if (tellWatch === hear) tellWatch = null;
    };
    function hear({ id, user_id, title }: Notification): void {
      for (const name of [nameOf({ id, user_id, title }), nameOf({ user_id, title })]) {
        if (!after.has(name)) after.set(name, performance.now() - start);
      }
      say();
      if (sent.length > 0 && sent.every((one) => after.has(nameOf(one)))) stop();
    }
    tellWatch = hear;
    return {
      expect: (notifications) => {
        sent = notifications;
        say();
      },
      stop,
    };
  }

  return { tell: (notification) => tellWatch?.(notification), watch };
}

function nameOf({ id, user_id, title }: Expected): string {
  return id === undefined ? `${user_id} ${title}` : String(id);
}
