/** What the service sends. */
interface Message {
  title: string;
  body?: string;
  url?: string | null;
  icon?: string | null;
  tag?: string;
}

/** A tab. */
interface Tab {
  url: string;
  focus(): Promise<unknown>;
  navigate?(url: string): Promise<unknown>;
  postMessage(message: unknown, transfer: MessagePort[]): void;
}

/** The parts of a service worker's global scope that are used; TypeScript has no types for it beside those of a page. */
export interface WorkerScope {
  location: { origin: string };
  registration: { scope: string; showNotification(title: string, options: NotificationOptions): Promise<void> };
  clients: {
    matchAll(options: { type: "window"; includeUncontrolled: boolean }): Promise<readonly Tab[]>;
    openWindow(url: string): Promise<unknown>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: the events of workers have no types here
  addEventListener(name: string, listener: (event: any) => void): void;
}

const CLICK = "shirase:click";
const PATIENCE = 500; // milliseconds for a tab to answer that it handles the click

/** Show push messages, and lead clicks to an open tab or to a new one. */
export function attach(scope: WorkerScope): void {
  scope.addEventListener("push", (event) => event.waitUntil(show(scope, event.data?.text())));
  scope.addEventListener("notificationclick", (event) => {
    event.notification.close();
    event.waitUntil(open(scope, event.notification.data?.url));
  });
}

/** A browser withdraws the permission of a site that shows nothing, so a damaged message is shown too. */
async function show(scope: WorkerScope, text: string | undefined): Promise<void> {
  const { title, body, url, icon, tag } = read(text);
  await scope.registration.showNotification(title, {
    body: body ?? "",
    data: { url: url ?? null },
    ...(icon && { icon }),
    ...(tag && { tag, renotify: true }), // a newer one of the same key takes the place of the older one
  });
}

function read(text: string | undefined): Message {
  try {
    const message = JSON.parse(text ?? "");
    if (typeof message?.title === "string") return message;
  } catch {}
  return { title: "New notification" };
}

async function open(scope: WorkerScope, target: string | null | undefined): Promise<void> {
  const url = pageAt(target ?? scope.registration.scope, scope.location.origin);
  if (!url) return;
  const tabs = await scope.clients.matchAll({ type: "window", includeUncontrolled: true });
  const tab = tabs.find((candidate) => candidate.url === url.href) ?? tabs[0];
  if (!tab || url.origin !== scope.location.origin) {
    await scope.clients.openWindow(url.href);
    return;
  }
  await tab.focus().catch(() => {}); // a browser may refuse; the address still belongs there
  if (!target || tab.url === url.href || (await isHandled(tab, url.href))) return;
  try {
    await tab.navigate?.(url.href);
  } catch {
    await scope.clients.openWindow(url.href); // the tab is not controlled by this worker
  }
}

/** The address of a page; `null` for one that does not parse, and for one that would run a script. */
function pageAt(target: string, base: string): URL | null {
  try {
    const url = new URL(target, base);
    return url.protocol === "https:" || url.protocol === "http:" ? url : null;
  } catch {
    return null;
  }
}

function isHandled(tab: Tab, url: string): Promise<boolean> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), PATIENCE);
    port1.onmessage = () => {
      clearTimeout(timer);
      port1.close();
      resolve(true);
    };
    tab.postMessage({ type: CLICK, url }, [port2]);
  });
}
