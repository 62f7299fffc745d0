import type { Notification } from "shirase";

/** When each notification arrived in which panel: the page is both producer and users, so it can measure. */
export interface Arrivals {
  /** A notification has arrived. */
  record(notification: Notification): void;
  /** Begin to watch for what is about to be sent. `report` is called with a sentence at each change. */
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
  /** The user has muted its kind: it will not come. */
  muted?: boolean;
}

export function createArrivals(): Arrivals {
  let current: ((notification: Notification) => void) | null = null;

  function watch(report: (sentence: string) => void): Watch {
    const start = performance.now();
    const after = new Map<string, number>(); // milliseconds; a stream may be faster than the answer to the request
    let sent: Expected[] = [];

    function update(): void {
      if (sent.length === 0) return;
      const each = sent.map((expected) => {
        if (expected.muted) return `${expected.user_id} has muted this kind`;
        const waited = after.get(nameOf(expected));
        return waited === undefined
          ? `kept for ${expected.user_id}`
          : `${expected.user_id} saw it after ${Math.ceil(waited)} ms`;
      });
      report(`Sent: ${each.join(", ")}.`);
    }
    const stop = () => {
      if (current === receive) current = null;
    };
    function receive({ id, user_id, title }: Notification): void {
      for (const name of [nameOf({ id, user_id, title }), nameOf({ user_id, title })]) {
        if (!after.has(name)) after.set(name, performance.now() - start);
      }
      update();
      if (sent.length > 0 && sent.every((expected) => expected.muted || after.has(nameOf(expected)))) stop();
    }
    current = receive;
    return {
      expect: (notifications) => {
        sent = notifications;
        update();
      },
      stop,
    };
  }

  return { record: (notification) => current?.(notification), watch };
}

function nameOf({ id, user_id, title }: Expected): string {
  return id === undefined ? `${user_id} ${title}` : String(id);
}
