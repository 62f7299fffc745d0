import { userId } from "../options.js";
import { createFakeInbox } from "./fake-inbox.js";
import { createFakeStreams } from "./fake-streams.js";
import { type Answer, answer } from "./rest.js";
import type { FakeRequest, FakeService } from "./types.js";

/**
 * A service for one user, without a network, a server or a timer of its own: for tests of code that uses the client.
 *
 * It answers in a microtask, so `await` what a test waits for: `findByText`, `waitFor` and the like. It needs neither
 * Vitest nor Jest, and works with the fake timers of both.
 *
 * @throws TypeError if `user` is a number that is no integer.
 */
export function createFakeService({ user = "test-user" }: { user?: string | number } = {}): FakeService {
  const id = userId(user) as string;
  const inbox = createFakeInbox(id);
  const requests: FakeRequest[] = [];
  let status: number | null = null; // of every answer
  let isCut = false;

  const streams = createFakeStreams(id, inbox, {
    note: (path) => void requests.push({ method: "GET", path, body: undefined }),
    fails: () => (isCut ? "network" : status === null ? null : "refused"),
  });

  async function fetch(address: string, init: RequestInit = {}): Promise<Response> {
    const { pathname, search, searchParams } = new URL(address, "http://fake.invalid");
    const method = init.method ?? "GET";
    const body: unknown = init.body ? JSON.parse(String(init.body)) : undefined;
    requests.push({ method, path: pathname + search, body });
    await Promise.resolve();
    if (isCut) throw new TypeError("Failed to fetch");
    if (status !== null) return respond([status, { title: "Refused", status, detail: "refused by the test" }]);
    if (pathname === "/api/notifications/poll") return respond([200, await streams.poll(searchParams, init.signal)]);
    return respond(answer(inbox, method, pathname, searchParams, body));
  }

  // Spread, it would lose its getters.
  const service = Object.create(inbox, {
    options: {
      value: {
        user: id,
        getToken: () => "a.fake.token",
        shareTabs: false,
        environment: { EventSource: streams.EventSource, fetch, navigator: { onLine: true } },
      },
    },
    requests: { value: requests },
    openStreams: { get: streams.count },
  });
  return Object.assign(service, {
    disconnect: () => {
      isCut = true;
      streams.fail();
    },
    reconnect: () => {
      isCut = false;
    },
    refuse: (next: number | null) => {
      status = next;
    },
    end: (reason = "revoked", reconnect = false) => streams.end({ reason, reconnect }),
  }) as FakeService;
}

/** An answer as `fetch` gives it, also where there is no `Response`: in Jest's jsdom, for example. */
function respond([status, body]: Answer): Response {
  const ok = status >= 200 && status < 300;
  // A copy, as over a network: what a test changes later was not answered.
  const text = body === undefined ? "" : JSON.stringify(body);
  const headers = { get: () => null };
  const answered = { ok, status, statusText: "", headers, json: async () => JSON.parse(text), text: async () => text };
  return answered as unknown as Response;
}
