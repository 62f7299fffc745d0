import type { ReactNode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { fetchToken } from "../index.js";
import {
  NotificationBell,
  NotificationList,
  NotificationsProvider,
  type NotificationsProviderProps,
  NotificationToasts,
  type PanelAlign,
} from "../react/index.js";
import { NotificationPreferences, useMute } from "../react/preferences/index.js";

declare const STYLES: string; // the stylesheet, which the build puts in

/** The `options` of an element, beside its attributes: the props of `NotificationsProvider`. */
export type ElementOptions = Partial<Omit<NotificationsProviderProps, "children">>;

const ATTRIBUTES = ["user", "url", "token-url", "cookies", "locale", "align", "mute"];

type Select = (notification: unknown, event: { preventDefault(): void }) => void;

// On a server there are no elements; there the module does nothing.
const Element = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

/**
 * What the elements have in common: a shadow tree with the components in it, and their stylesheet.
 *
 * Nothing is opened before `user` and one of `token-url`, `cookies` and `options` identify the caller. Without a `user`
 * it asks to sign in, by an event `sign-in`.
 */
abstract class NotificationElement extends Element {
  static readonly observedAttributes = ATTRIBUTES;
  #options: ElementOptions = {};
  #root: Root | null = null;
  #getToken: { address: string; get: ReturnType<typeof fetchToken> } | null = null;

  /** Options that are functions or objects, such as `getToken` and `labels`. */
  get options(): ElementOptions {
    return this.#options;
  }

  set options(options: ElementOptions) {
    this.#options = options;
    this.#render();
  }

  connectedCallback(): void {
    if (Object.hasOwn(this, "options")) this.#takeOver();
    const shadow = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    if (shadow.childNodes.length === 0) addStyles(shadow);
    const at = shadow.appendChild(document.createElement("div"));
    this.#root = createRoot(at);
    this.#render();
  }

  disconnectedCallback(): void {
    this.#root?.unmount();
    this.#root = null;
    this.shadowRoot?.lastElementChild?.remove();
  }

  attributeChangedCallback(): void {
    this.#render();
  }

  protected abstract content(select: Select): ReactNode;

  protected dispatch(name: string, detail: unknown): boolean {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: true }));
  }

  /** A page may set `options` before this module is loaded: its property hides the one here. */
  #takeOver(): void {
    const { options } = this;
    delete (this as Partial<NotificationElement>).options;
    this.options = options;
  }

  #render(): void {
    if (!this.#root) return;
    const text = (name: string) => this.getAttribute(name) ?? undefined;
    const options: Record<string, unknown> = {
      user: this.getAttribute("user"),
      url: text("url"),
      locale: text("locale"),
      cookies: this.hasAttribute("cookies") || undefined,
      getToken: this.#tokenFrom(text("token-url")),
      onSignIn: () => this.dispatch("sign-in", null),
      ...this.#options,
    };
    // A title was clicked: preventing the event keeps the user on the page.
    const select: Select = (notification, event) => {
      if (!this.dispatch("select", notification)) event.preventDefault();
    };
    this.#root.render(<NotificationsProvider {...options}>{this.content(select)}</NotificationsProvider>);
  }

  #tokenFrom(address: string | undefined): ReturnType<typeof fetchToken> | undefined {
    if (address === undefined) return undefined;
    if (this.#getToken?.address !== address) this.#getToken = { address, get: fetchToken(address) };
    return this.#getToken.get;
  }
}

/** `<shirase-bell user="…" token-url="/my-token" align="end" mute>`: the bell. Dispatches `toggle`, `select` and `sign-in`. */
export class ShiraseBell extends NotificationElement {
  protected content(select: Select): ReactNode {
    return (
      <NotificationBell
        align={(this.getAttribute("align") ?? "end") as PanelAlign}
        onOpenChange={(open) => this.dispatch("toggle", { open })}
      >
        <List isMutable={this.hasAttribute("mute")} select={select} />
      </NotificationBell>
    );
  }
}

/** `<shirase-list user="…" token-url="/my-token" mute>`: the list. Dispatches `select` and `sign-in`. */
export class ShiraseList extends NotificationElement {
  protected content(select: Select): ReactNode {
    return <List isMutable={this.hasAttribute("mute")} select={select} />;
  }
}

/** `<shirase-toasts user="…" token-url="/my-token">`: what arrives, at the edge of the window. Dispatches `sign-in`. */
export class ShiraseToasts extends NotificationElement {
  protected content(): ReactNode {
    return <NotificationToasts />;
  }
}

/** `<shirase-preferences user="…" token-url="/my-token">`: what the user receives. Dispatches `sign-in`. */
export class ShirasePreferences extends NotificationElement {
  protected content(): ReactNode {
    return <NotificationPreferences />;
  }
}

/** The list; with `mute`, each row has a button that mutes its type. */
function List({ isMutable, select }: { isMutable: boolean; select: Select }): ReactNode {
  const mute = useMute();
  return <NotificationList onSelect={select} mute={isMutable ? mute : undefined} />;
}

function addStyles(shadow: ShadowRoot): void {
  try {
    const sheet = new CSSStyleSheet(); // which a Content-Security-Policy allows
    sheet.replaceSync(STYLES);
    shadow.adoptedStyleSheets = [sheet];
  } catch {
    shadow.appendChild(document.createElement("style")).textContent = STYLES;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "shirase-bell": ShiraseBell;
    "shirase-list": ShiraseList;
    "shirase-preferences": ShirasePreferences;
    "shirase-toasts": ShiraseToasts;
  }
}

const ELEMENTS = {
  "shirase-bell": ShiraseBell,
  "shirase-list": ShiraseList,
  "shirase-preferences": ShirasePreferences,
  "shirase-toasts": ShiraseToasts,
};
for (const [name, element] of Object.entries(ELEMENTS)) {
  if (globalThis.customElements && !customElements.get(name)) customElements.define(name, element);
}
