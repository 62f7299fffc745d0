import type { StreamOptions } from "../src/options.js";
import { createTab } from "./browser.js";
import type { ScriptedServer } from "./scripted-server.js";

type Waiting = { grant: () => void; steal: boolean };

/** What the tabs of one browser have in common: locks and channels. A message arrives in a later microtask, a copy. */
export function createBrowser(server: ScriptedServer) {
  const queues = new Map<string, Waiting[]>();
  const holders = new Map<string, (reason: unknown) => void>(); // rejects the request of the tab that holds the lock
  const channels = new Set<ScriptedChannel>();
  const messages: unknown[] = [];

  function request(
    name: string,
    options: LockOptions,
    callback: () => Promise<unknown> | undefined,
    onItsTurn: (act: () => void) => void,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const queue = queues.get(name) ?? [];
      queues.set(name, queue);
      const lose = (reason: unknown) => onItsTurn(() => reject(reason));
      const grant = () => {
        holders.set(name, lose);
        Promise.resolve(callback()).then((value) => {
          if (holders.get(name) !== lose) return;
          holders.delete(name);
          resolve(value);
          pass(name);
        });
      };
      const waiting = { grant, steal: options.steal ?? false };
      if (options.steal) {
        holders.get(name)?.(new DOMException("stolen", "AbortError"));
        holders.delete(name);
        return queueMicrotask(grant);
      }
      options.signal?.addEventListener("abort", () => {
        queues.set(
          name,
          (queues.get(name) ?? []).filter((other) => other !== waiting),
        );
        if (holders.get(name) !== lose) reject(options.signal?.reason);
      });
      queue.push(waiting);
      if (!holders.has(name)) queueMicrotask(() => pass(name));
    });
  }

  /** Give a free lock to the next in line. */
  function pass(name: string): void {
    if (!holders.has(name)) queues.get(name)?.shift()?.grant();
  }

  class ScriptedChannel {
    onmessage: ((event: { data: unknown }) => void) | null = null;
    frozen = () => false;
    #late: unknown[] = [];

    constructor(readonly name: string) {
      channels.add(this);
    }

    postMessage(message: unknown): void {
      if (this.frozen()) return;
      const copy = structuredClone(message);
      messages.push(copy);
      for (const other of channels) {
        if (other !== this && other.name === this.name) queueMicrotask(() => other.receive(copy));
      }
    }

    receive(message: unknown): void {
      if (!channels.has(this)) return;
      if (this.frozen()) this.#late.push(message);
      else this.onmessage?.({ data: message });
    }

    catchUp(): void {
      for (const message of this.#late.splice(0)) this.receive(message);
    }

    close(): void {
      channels.delete(this);
    }
  }

  /** One more tab, with one stream. */
  function open(options: Partial<StreamOptions> = {}) {
    const tab = createTab(server);
    const own: ScriptedChannel[] = [];
    const late: (() => void)[] = [];
    let stuck = false;
    const stream = tab.open({
      user: "aiko",
      ...options,
      environment: {
        locks: {
          request: (name: string, lock: LockOptions, callback: () => Promise<unknown> | undefined) =>
            request(name, lock, callback, (act) => (stuck ? late.push(act) : act())),
        } as unknown as LockManager,
        BroadcastChannel: class extends ScriptedChannel {
          constructor(name: string) {
            super(name);
            own.push(this);
            this.frozen = () => stuck;
          }
        } as unknown as typeof BroadcastChannel,
        ...options.environment,
      },
    });
    return Object.assign(stream, {
      tab,
      /** The tab stops running without a word, as under a debugger: its own connection stays. */
      stick: () => {
        stuck = true;
      },
      unstick: () => {
        stuck = false;
        for (const act of late.splice(0)) act();
        for (const channel of own) channel.catchUp();
      },
    });
  }

  /** The name that a tab gives itself, in the order in which they first spoke. */
  function idOf(number: number): string {
    return [...new Set(messages.map((message) => (message as { from: string }).from))][number] ?? "";
  }

  return { open, messages, channels, idOf };
}
