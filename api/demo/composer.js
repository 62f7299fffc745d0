// The form that creates a notification, for one user or for several at once.

import { Problem } from "./session.js";

const EXAMPLES = [
  {
    type: "interview.scheduled",
    title: "Interview on Thursday",
    message: "You meet the platform team at 14:00 in room Sakura.",
    payload: { room: "Sakura", minutes: 45 },
  },
  {
    type: "build.failed",
    title: "Build 481 failed on main",
    message: "2 of 1,204 tests failed, both in checkout.",
    payload: { build: 481, branch: "main" },
  },
  { type: "comment.created", title: "New comment on your proposal", message: "“Lovely. Ship it on Monday?”" },
  {
    type: "payment.received",
    title: "Payment received: 48.00 EUR",
    message: "Invoice 2027-0112 is settled.",
    payload: { amount: "48.00", currency: "EUR" },
  },
];

export class Composer {
  #form;
  #panels;
  #example = -1;
  #sent = null; // the notifications under way: when they were sent, and which arrived after how long

  /** `panels()` gives the panels that are on the page now. */
  constructor(form, panels) {
    this.#form = form;
    this.#panels = panels;
    form.elements.example.addEventListener("click", () => this.#fillIn());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.#form.hasAttribute("aria-busy")) this.#submit();
    });
    document.addEventListener("arrival", ({ detail: ids }) => this.#arrive(ids));
    form.querySelector("details").open = matchMedia("(min-width: 44rem)").matches; // on a phone room is dear
    this.#fillIn();
    this.offerUsers();
  }

  /** Offer the users of the panels, and all of them together. */
  offerUsers() {
    const users = [...new Set(this.#panels().map((panel) => panel.session.userId))];
    const choices = users.map((userId) => ({ users: [userId], label: userId }));
    if (users.length > 1) choices.push({ users, label: "Both" });
    this.#form.querySelector(".choices").replaceChildren(
      ...choices.map((choice, index) => {
        const label = document.createElement("label");
        const input = document.createElement("input");
        const text = document.createElement("span");
        Object.assign(input, { type: "radio", name: "to", value: JSON.stringify(choice.users), checked: index === 0 });
        text.textContent = choice.label;
        label.append(input, text);
        return label;
      }),
    );
  }

  #fillIn() {
    this.#example = (this.#example + 1) % EXAMPLES.length;
    const { type, title, message, payload } = EXAMPLES[this.#example];
    const { elements } = this.#form;
    elements.type.value = type;
    elements.title.value = title;
    elements.message.value = message;
    elements.payload.value = payload ? JSON.stringify(payload) : "";
    this.#showErrors([]);
  }

  async #submit() {
    const [{ session }] = this.#panels();
    this.#form.setAttribute("aria-busy", "true");
    this.#showErrors([]);
    this.#say("Sending…");
    const sent = { start: performance.now(), arrivals: new Map(), notifications: [] };
    this.#sent = sent;
    try {
      sent.notifications = await create(session, this.#read());
      this.#report();
    } catch (problem) {
      this.#say(problem.errors.length ? "" : problem.message, "failed");
      this.#showErrors(problem.errors);
    } finally {
      this.#form.removeAttribute("aria-busy");
    }
  }

  #read() {
    const { to, type, title, message, payload } = this.#form.elements;
    const notification = { type: type.value, title: title.value, message: message.value };
    if (payload.value.trim()) {
      try {
        notification.payload = JSON.parse(payload.value);
      } catch {
        throw new Problem(0, { errors: [{ field: "payload", message: "is not valid JSON" }] });
      }
    }
    return JSON.parse(to.value).map((userId) => ({ user_id: userId, ...notification }));
  }

  #arrive(ids) {
    if (!this.#sent) return;
    const { start, arrivals } = this.#sent;
    for (const id of ids) if (!arrivals.has(id)) arrivals.set(id, performance.now() - start);
    this.#report();
  }

  #report() {
    const { notifications, arrivals } = this.#sent;
    if (notifications.length === 0) return; // the stream was faster than the answer
    const each = notifications.map(({ id, user_id: userId }) =>
      arrivals.has(id) ? `${userId} saw it after ${Math.ceil(arrivals.get(id))} ms` : `kept for ${userId}`,
    );
    this.#say(`Sent: ${each.join(", ")}.`);
    if (notifications.every(({ id }) => arrivals.has(id))) this.#sent = null;
  }

  #say(text, kind = "") {
    const outcome = this.#form.querySelector(".outcome");
    outcome.textContent = text;
    outcome.dataset.kind = kind;
  }

  /** Put each error beside its field, and those of no field of ours below. */
  #showErrors(errors) {
    const places = [...this.#form.querySelectorAll("[data-error]")];
    const rest = [];
    for (const place of places) place.textContent = "";
    for (const { field, message } of errors) {
      // In a batch the field is a path, such as notifications.0.title: every one of them came from the same field.
      const place = places.find(({ dataset }) => field.split(/[.[\]]+/).includes(dataset.error));
      if (place) place.textContent = message;
      else rest.push(`${field}: ${message}`);
    }
    if (rest.length > 0) this.#say(rest.join("; "), "failed");
    for (const { textContent, dataset } of places) {
      const control = this.#form.elements[dataset.error];
      if (textContent) control?.setAttribute("aria-invalid", "true");
      else control?.removeAttribute("aria-invalid");
    }
    const first = this.#form.querySelector("[aria-invalid]");
    first?.closest("details")?.setAttribute("open", "");
    first?.focus();
  }
}

async function create(session, notifications) {
  if (notifications.length === 1) return [await session.request("POST", "/api/notifications", notifications[0])];
  return (await session.request("POST", "/api/notifications/batch", { notifications })).notifications;
}
