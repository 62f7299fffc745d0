import type { NotificationStream } from "../types.js";

const KEY = "/api/push/key";
const SUBSCRIPTIONS = "/api/push/subscriptions";
const CLICK = "shirase:click"; // the message of the service worker to a tab

/** Sends requests with the user's credentials: a stream, also one that is closed. */
export type PushCaller = Pick<NotificationStream, "request">;

/** Whether this browser shows push messages of this site. */
export type PushState = "unsupported" | "denied" | "subscribed" | "unsubscribed";

/** Where the service worker is. */
export interface PushOptions {
  /** The address of your copy of `shirase/push/service-worker.js`, or of a worker of yours that imports it. */
  worker: string;
}

/** Whether this browser can take push messages here: it cannot without https, and on iOS outside of an installed app. */
export function isPushSupported(): boolean {
  return "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis;
}

/** Whether this browser takes push messages of this site now. It asks the user nothing. */
export async function pushState(options: PushOptions): Promise<PushState> {
  if (!isPushSupported()) return "unsupported";
  if (Notification.permission === "denied") return "denied";
  return (await present(options)) ? "subscribed" : "unsubscribed";
}

/**
 * Have the service send this user's push messages to this browser. It asks for permission, so call it in the handler of
 * a click: browsers ignore or punish it elsewhere.
 *
 * @returns the new state; `denied` if the user has refused.
 * @throws ApiError if the service refuses: 404 if Web Push is not configured there.
 */
export async function subscribeToPush(caller: PushCaller, options: PushOptions): Promise<PushState> {
  if (!isPushSupported()) return "unsupported";
  const permission = await Notification.requestPermission(); // first: after another wait the click no longer counts
  if (permission !== "granted") return permission === "denied" ? "denied" : "unsubscribed";
  const { public_key: key } = (await caller.request("GET", KEY)) as { public_key: string };
  await navigator.serviceWorker.register(options.worker);
  const { pushManager } = await navigator.serviceWorker.ready;
  let subscription = await pushManager.getSubscription();
  if (subscription && !hasKey(subscription, key)) {
    await subscription.unsubscribe(); // it belongs to a key that the service has no more
    subscription = null;
  }
  subscription ??= await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  await caller.request("PUT", SUBSCRIPTIONS, subscription.toJSON());
  return "subscribed";
}

/**
 * Report an existing subscription to the service again, as this user's. Call it at each sign-in: browsers renew
 * subscriptions, and another user may have signed in before. It asks the user nothing.
 */
export async function renewPush(caller: PushCaller, options: PushOptions): Promise<PushState> {
  const state = await pushState(options);
  return state === "subscribed" ? subscribeToPush(caller, options) : state;
}

/** Have the service send nothing more to this browser. Call it before the user signs out. */
export async function unsubscribeFromPush(caller: PushCaller, options: PushOptions): Promise<void> {
  const subscription = isPushSupported() ? await present(options) : null;
  if (!subscription) return;
  await caller.request("DELETE", SUBSCRIPTIONS, { endpoint: subscription.endpoint });
  await subscription.unsubscribe();
}

/**
 * Handle clicks on push messages in this tab, for example by your router. Without a listener the service worker loads the
 * address in the tab, or opens a new one.
 *
 * @returns a function that removes the listener.
 */
export function onPushClick(listener: (url: string) => void): () => void {
  if (!("serviceWorker" in navigator)) return () => {};
  const handle = ({ data, ports }: MessageEvent): void => {
    if (data?.type !== CLICK) return;
    ports[0]?.postMessage(true);
    listener(String(data.url));
  };
  navigator.serviceWorker.addEventListener("message", handle);
  navigator.serviceWorker.startMessages();
  return () => navigator.serviceWorker.removeEventListener("message", handle);
}

async function present({ worker }: PushOptions): Promise<PushSubscription | null> {
  const registration = await navigator.serviceWorker.getRegistration(worker);
  return (await registration?.pushManager.getSubscription()) ?? null;
}

function hasKey({ options }: PushSubscription, key: string): boolean {
  const own = options.applicationServerKey;
  if (!own) return true; // this browser does not report it
  const text = btoa(String.fromCharCode(...new Uint8Array(own)));
  return text.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "") === key;
}
