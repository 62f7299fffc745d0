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
  expect(notifications: Notification[]): void;
  stop(): void;
}

export function createArrivals(): Arrivals {
  let tellWatch: ((notification: Notification) => void) | null = null;

  function watch(report: (sentence: string) => void): Watch {
    const start = performance.now();
    const after = new Map<number, number>(); // id → milliseconds; a stream may be faster than the answer to the request
    let sent: Notification[] = [];

    function say(): void {
      if (sent.length === 0) return;
      const each = sent.map(({ id, user_id }) => {
        const waited = after.get(id);
        return waited === undefined ? `kept for ${user_id}` : `${user_id} saw it after ${Math.ceil(waited)} ms`;
      });
      report(`Sent: ${each.join(", ")}.`);
    }
    const stop = () => {
      if (tellWatch === hear) tellWatch = null;
    };
    function hear({ id }: Notification): void {
      if (!after.has(id)) after.set(id, performance.now() - start);
      say();
      if (sent.length > 0 && sent.every((one) => after.has(one.id))) stop();
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
