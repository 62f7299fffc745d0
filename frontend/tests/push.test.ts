import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  isPushSupported,
  onPushClick,
  pushState,
  renewPush,
  subscribeToPush,
  unsubscribeFromPush,
} from "../src/push/index.js";
import { attach, type WorkerScope } from "../src/push/worker.js";

const OPTIONS = { worker: "/push.js" };
const KEY = "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM";

/** A browser that takes push messages. */
function fakeBrowser(answer: NotificationPermission = "granted") {
  const calls: string[] = [];
  let subscribed: { endpoint: string; options: object } | null = null;
  const pushManager = {
    getSubscription: async () => subscribed,
    subscribe: async ({ applicationServerKey }: { applicationServerKey: string }) => {
      calls.push(`subscribe ${applicationServerKey}`);
      const raw = Uint8Array.from(atob(applicationServerKey.replace(/-/g, "+").replace(/_/g, "/")), (character) =>
        character.charCodeAt(0),
      );
      subscribed = {
        endpoint: "https://push.example.com/1",
        options: { applicationServerKey: raw.buffer },
        toJSON: () => ({ endpoint: "https://push.example.com/1", keys: { p256dh: "p", auth: "a" } }),
        unsubscribe: async () => {
          calls.push("unsubscribe");
          subscribed = null;
          return true;
        },
      } as never;
      return subscribed;
    },
  };
  const listeners = new Set<(event: unknown) => void>();
  vi.stubGlobal("navigator", {
    serviceWorker: {
      register: async (worker: string) => calls.push(`register ${worker}`),
      ready: Promise.resolve({ pushManager }),
      getRegistration: async () => ({ pushManager }),
      addEventListener: (_: string, listener: (event: unknown) => void) => listeners.add(listener),
      removeEventListener: (_: string, listener: (event: unknown) => void) => listeners.delete(listener),
      startMessages: () => {},
    },
  });
  vi.stubGlobal("PushManager", class {});
  vi.stubGlobal("Notification", {
    permission: "default",
    requestPermission: async () => {
      calls.push("permission");
      (globalThis.Notification as { permission: string }).permission = answer;
      return answer;
    },
  });
  const caller = {
    key: KEY,
    request: async (method: string, path: string, body?: unknown) => {
      calls.push(`${method} ${path}${body ? ` ${JSON.stringify(body)}` : ""}`);
      return method === "GET" ? { public_key: caller.key } : undefined;
    },
  };
  return { calls, caller, listeners };
}

afterEach(() => vi.unstubAllGlobals());

test("subscribing asks for permission first, and informs the service", async () => {
  const { calls, caller } = fakeBrowser();
  expect(await pushState(OPTIONS)).toBe("unsubscribed");
  expect(await subscribeToPush(caller, OPTIONS)).toBe("subscribed");
  expect(calls).toEqual([
    "permission",
    "GET /api/push/key",
    "register /push.js",
    `subscribe ${KEY}`,
    'PUT /api/push/subscriptions {"endpoint":"https://push.example.com/1","keys":{"p256dh":"p","auth":"a"}}',
  ]);
  expect(await pushState(OPTIONS)).toBe("subscribed");
});

test.each([
  ["denied", "denied"],
  ["default", "unsubscribed"],
] as const)("a user who answers %s is not subscribed", async (answer, state) => {
  const { calls, caller } = fakeBrowser(answer);
  expect(await subscribeToPush(caller, OPTIONS)).toBe(state);
  expect(calls).toEqual(["permission"]);
});

test("a subscription of another key is replaced", async () => {
  const { calls, caller } = fakeBrowser();
  await subscribeToPush(caller, OPTIONS);
  await subscribeToPush(caller, OPTIONS);
  expect(calls.filter((entry) => entry === "unsubscribe")).toEqual([]);
  caller.key = `${KEY.slice(0, -1)}A`;
  await subscribeToPush(caller, OPTIONS);
  expect(calls.filter((entry) => entry === "unsubscribe")).toEqual(["unsubscribe"]);
});

test("renewing reports a subscription again, and makes none", async () => {
  const { calls, caller } = fakeBrowser();
  expect(await renewPush(caller, OPTIONS)).toBe("unsubscribed");
  expect(calls).toEqual([]);
  await subscribeToPush(caller, OPTIONS);
  calls.length = 0;
  expect(await renewPush(caller, OPTIONS)).toBe("subscribed");
  expect(calls.filter((entry) => entry.startsWith("PUT"))).toHaveLength(1);
  expect(calls.filter((entry) => entry.startsWith("subscribe"))).toEqual([]);
});

test("unsubscribing informs the service first", async () => {
  const { calls, caller } = fakeBrowser();
  await unsubscribeFromPush(caller, OPTIONS);
  expect(calls).toEqual([]);
  await subscribeToPush(caller, OPTIONS);
  calls.length = 0;
  await unsubscribeFromPush(caller, OPTIONS);
  expect(calls).toEqual(['DELETE /api/push/subscriptions {"endpoint":"https://push.example.com/1"}', "unsubscribe"]);
});

test("a browser without push is left alone", async () => {
  vi.stubGlobal("navigator", {});
  expect(isPushSupported()).toBe(false);
  expect(await pushState(OPTIONS)).toBe("unsupported");
  expect(onPushClick(() => {})()).toBe(undefined);
});

test("a tab hands clicks to its listener until that is removed", async () => {
  const { listeners } = fakeBrowser();
  const urls: string[] = [];
  const remove = onPushClick((url) => urls.push(url));
  for (const listener of listeners) {
    listener({ data: { type: "another" }, ports: [] });
    listener({ data: { type: "shirase:click", url: "https://a.example/1" }, ports: [] });
  }
  expect(urls).toEqual(["https://a.example/1"]);
  remove();
  expect(listeners.size).toBe(0);
});

/** A service worker's scope with these tabs. */
function fakeScope(...urls: string[]) {
  const handlers = new Map<string, (event: unknown) => void>();
  const calls: string[] = [];
  const state = { handles: false };
  const tabs = urls.map((url) => ({
    url,
    focus: async () => calls.push(`focus ${url}`),
    navigate: async (to: string) => calls.push(`navigate ${to}`),
    postMessage: (message: { url: string }, [port]: MessagePort[]) => {
      calls.push(`message ${message.url}`);
      if (state.handles) port?.postMessage(true);
      port?.close();
    },
  }));
  const scope = {
    location: { origin: "https://a.example" },
    registration: {
      scope: "https://a.example/app/",
      showNotification: async (title: string, options: object) =>
        calls.push(`show ${title} ${JSON.stringify(options)}`),
    },
    clients: { matchAll: async () => tabs, openWindow: async (url: string) => calls.push(`open ${url}`) },
    addEventListener: (name: string, handler: (event: unknown) => void) => handlers.set(name, handler),
  };
  attach(scope as unknown as WorkerScope);
  const dispatch = async (name: string, event: object) => {
    let done: unknown;
    handlers.get(name)?.({ ...event, waitUntil: (work: unknown) => (done = work) });
    await done;
    return calls;
  };
  const push = (text?: string) => dispatch("push", text === undefined ? {} : { data: { text: () => text } });
  const click = (url: string | null) =>
    dispatch("notificationclick", { notification: { data: { url }, close: () => calls.push("close") } });
  return { push, click, state };
}

test("a message is shown, and one of the same key takes its place", async () => {
  const message = { title: "T", body: "B", url: "/x", icon: null, tag: "k", id: 1, type: "a.b", count: 1 };
  expect(await fakeScope().push(JSON.stringify(message))).toEqual([
    'show T {"body":"B","data":{"url":"/x"},"tag":"k","renotify":true}',
  ]);
});

test.each([undefined, "", "null", "{}", "no JSON", '{"title":1}'])(
  "a damaged message %j is shown too",
  async (text) => {
    expect(await fakeScope().push(text)).toEqual(['show New notification {"body":"","data":{"url":null}}']);
  },
);

test("a click without a tab opens one", async () => {
  expect(await fakeScope().click("/x?y#z")).toEqual(["close", "open https://a.example/x?y#z"]);
  expect(await fakeScope().click(null)).toEqual(["close", "open https://a.example/app/"]);
});

test("a click goes to the tab that shows the address", async () => {
  const scope = fakeScope("https://a.example/", "https://a.example/x");
  expect(await scope.click("/x")).toEqual(["close", "focus https://a.example/x"]);
});

test("a click is handed to an open tab, which may handle it", async () => {
  const scope = fakeScope("https://a.example/");
  scope.state.handles = true;
  expect(await scope.click("/x")).toEqual(["close", "focus https://a.example/", "message https://a.example/x"]);
});

test("a tab that does not handle a click is navigated", async () => {
  const calls = await fakeScope("https://a.example/").click("/x");
  expect(calls.slice(-2)).toEqual(["message https://a.example/x", "navigate https://a.example/x"]);
});

test.each(["https://b.example/", "javascript:alert(1)", "data:text/html,x", "https://", "//[x]/"])(
  "a click on %s reaches no tab",
  async (url) => {
    const calls = await fakeScope("https://a.example/").click(url);
    expect(calls.slice(1)).toEqual(url === "https://b.example/" ? [`open ${url}`] : []);
  },
);

beforeEach(() => vi.useRealTimers());
