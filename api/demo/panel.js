// One user's panel: bell, list, stream and log.

import { Inbox } from "./inbox.js";
import { createItem, updateItem } from "./item.js";
import { Session } from "./session.js";
import { Stream } from "./stream.js";

const STATES = { connecting: "Connecting…", live: "Live", reconnecting: "Reconnecting…", stopped: "Stopped" };
const PAGE_SIZE = 30;
const LOG_SIZE = 100;

export class Panel {
  element = document.getElementById("panel-template").content.firstElementChild.cloneNode(true);
  session;
  #inbox = new Inbox();
  #stream;
  #elements = new Map(); // id → <li>
  #arrived = []; // notifications that came since the last drawing
  #frame = null; // the next drawing, if one is due
  #held = null; // events that wait for a page of the list which is on its way
  #loaded = false;
  #paused = true; // until the page says that it is looked at
  #fetch = 0; // numbers the fetches of the list, so that one that was overtaken knows

  constructor(userId) {
    this.session = new Session(userId);
    this.#stream = new Stream(
      this.session,
      (state, reason) => this.#showState(state, reason),
      (name, data, id) => this.#receive(name, data, id),
    );
    this.element.setAttribute("aria-label", `Notifications of ${userId}`);
    this.#find(".avatar").textContent = [...userId][0].toUpperCase();
    this.#find(".avatar").dataset.hue = [...userId].reduce((sum, char) => sum + char.codePointAt(0), 0) % 6;
    this.#find("[name=user_id]").value = userId;
    this.#find("[name=user_id]").defaultValue = userId;
    this.element.addEventListener("click", (event) => this.#click(event));
    this.#find(".who").addEventListener("input", ({ target }) => {
      this.#find(".who button").hidden = target.value === userId;
    });
    this.#find(".who").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#switchUser(event.target.elements.user_id.value);
    });
    this.#showState("connecting", "");
    this.#render();
  }

  /** Let the stream go while nobody looks; one that was stopped for another reason stays as it is. */
  pause() {
    if (this.element.dataset.state === "stopped") return;
    this.#paused = true;
    this.#stream.stop("Paused while nobody looks.");
  }

  resume() {
    if (!this.#paused) return;
    this.#paused = false;
    this.#stream.start();
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  // --- what the stream says

  #receive(name, data, id) {
    this.#log(name, data, id);
    if (name === "reset") this.#release(); // the list that is fetched now takes its place
    if (name === "reset" || (name === "connected" && !this.#loaded)) this.#load({ anew: true });
    // While a page of the list is on its way, events wait: the page may be older or newer than they are, and applied
    // after it they lead to the same end in both cases.
    if (this.#held) this.#held.push([name, data]);
    else this.#apply(name, data);
  }

  #apply(name, data) {
    if (name === "notification" && !this.#inbox.items.has(data.id)) this.#arrived.push(data);
    this.#inbox.apply(name, data);
    this.#frame ??= requestAnimationFrame(() => this.#render()); // a burst of events is drawn at once
  }

  #welcome(arrived) {
    for (const { id } of arrived) this.#elements.get(id)?.classList.add("fresh");
    this.#find(".bell").classList.remove("ringing");
    void this.#find(".bell").offsetWidth; // a reflow, so that the animation starts again
    this.#find(".bell").classList.add("ringing");
    const what = arrived.length === 1 ? arrived[0].title : `${arrived.length} notifications`;
    this.#find(".announcement").textContent = `New for ${this.session.userId}: ${what}. ${this.#unreadText()}.`;
    const ids = arrived.map(({ id }) => id);
    this.element.dispatchEvent(new CustomEvent("arrival", { bubbles: true, detail: ids }));
  }

  // --- what the list says

  async #load({ anew }) {
    const fetch = ++this.#fetch;
    this.#held ??= [];
    const page = anew ? "" : `&before=${this.#inbox.older}`;
    let list, problem;
    try {
      list = await this.session.request("GET", `/api/notifications?limit=${PAGE_SIZE}${page}`);
    } catch (error) {
      problem = error;
    }
    if (fetch !== this.#fetch) return; // a later fetch releases what is held
    if (list) {
      if (anew) this.#inbox.clear();
      this.#inbox.merge(list);
      this.#loaded = true;
    }
    this.#showProblem(problem, () => this.#load({ anew }));
    this.#render();
    this.#release();
  }

  #release() {
    const held = this.#held ?? [];
    this.#held = null;
    for (const [name, data] of held) this.#apply(name, data);
  }

  // --- what the person does

  #click({ target }) {
    const button = target.closest("button");
    if (!button) return;
    const id = Number(button.closest(".item")?.dataset.id);
    const actions = {
      read: () => this.#ask([id], "read", "POST", "/api/notifications/read", { ids: [id] }),
      "read-all": () => this.#inbox.badge && this.#ask(this.#unreadIds(), "read", "POST", "/api/notifications/read-all"),
      delete: () => this.#ask([id], "deleted", "DELETE", `/api/notifications/${id}`),
      older: () => this.#load({ anew: false }),
      switch: () => (this.element.dataset.state === "stopped" ? this.#stream.start() : this.#stream.stop()),
      raw: () => this.#openRawStream(),
    };
    actions[button.name]?.();
  }

  /** Show a change at once; the event that confirms it brings the count, and a refusal takes it back. */
  async #ask(ids, what, ...request) {
    this.#inbox.expect(ids, what);
    this.#render();
    try {
      await this.session.request(...request);
      this.#showProblem();
    } catch (problem) {
      if (problem.status === 404) return; // gone already: its event says so too
      this.#inbox.giveUp(ids);
      this.#showProblem(problem, () => this.#ask(ids, what, ...request));
      this.#render();
    }
  }

  #unreadIds() {
    return this.#inbox.visible.filter((item) => !item.is_read).map((item) => item.id);
  }

  async #openRawStream() {
    try {
      const { token } = await this.session.grant();
      open(`/api/sse/notifications?${new URLSearchParams({ token })}`, "_blank", "noopener");
    } catch (problem) {
      this.#showProblem(problem, () => this.#openRawStream());
    }
  }

  /** Let another user in here, if the service knows such an id. */
  async #switchUser(userId) {
    try {
      await new Session(userId).grant();
      this.element.dispatchEvent(new CustomEvent("switch", { bubbles: true, detail: userId }));
    } catch (problem) {
      this.#showProblem(problem, () => this.#switchUser(userId));
    }
  }

  // --- what there is to see

  #render() {
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
    const visible = this.#inbox.visible;
    this.#renderList(visible);
    const { badge } = this.#inbox;
    this.#find(".badge").textContent = badge > 99 ? "99+" : badge || "";
    this.#find(".bell").setAttribute("aria-label", this.#unreadText());
    this.#find("[name=read-all]").setAttribute("aria-disabled", !badge); // disabled itself would lose the focus
    this.#find(".empty").hidden = !this.#loaded || visible.length > 0;
    this.#find("[name=older]").hidden = this.#inbox.older === null;
    const arrived = this.#arrived.splice(0);
    if (arrived.length > 0) this.#welcome(arrived);
  }

  #renderList(visible) {
    const wanted = new Set(visible.map(({ id }) => id));
    for (const [id, element] of this.#elements) if (!wanted.has(id)) this.#remove(id, element);
    visible.forEach((item, index) => {
      let element = this.#elements.get(item.id);
      if (!element) {
        element = createItem(item);
        this.#elements.set(item.id, element);
        this.#find(".list").insertBefore(element, this.#find(".list").children[index] ?? null);
      }
      updateItem(element, item);
    });
  }

  #remove(id, element) {
    const hadFocus = element.contains(document.activeElement);
    const next = element.nextElementSibling ?? element.previousElementSibling;
    element.remove();
    this.#elements.delete(id);
    if (hadFocus) (next?.querySelector("[name=delete]") ?? this.#find("[name=switch]")).focus();
  }

  #unreadText() {
    return this.#inbox.badge === null ? "Unread count not known yet" : `${this.#inbox.badge} unread`;
  }

  #showState(state, reason) {
    this.element.dataset.state = state;
    this.#find(".state-text").textContent = STATES[state];
    this.#find(".state-reason").textContent = reason;
    this.#find(".state-reason").hidden = !reason;
    this.#find("[name=switch]").textContent = state === "stopped" ? "Connect" : "Disconnect";
  }

  #showProblem(problem, again) {
    this.#find(".problem").hidden = !problem;
    this.#find(".problem p").textContent = problem?.message ?? "";
    this.#find("[name=retry]").onclick = again;
  }

  #log(name, data, id) {
    const line = document.createElement("li");
    for (const [className, text] of [["name", name], ["id", id], ["data", JSON.stringify(data)]]) {
      const part = document.createElement("span");
      part.className = className;
      part.textContent = text;
      line.append(part);
    }
    const list = this.#find(".log ol");
    list.prepend(line);
    while (list.children.length > LOG_SIZE) list.lastElementChild.remove();
    this.#find(".log-count").textContent = Number(this.#find(".log-count").textContent) + 1;
  }
}
