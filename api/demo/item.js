// One notification in the list. Whatever a producer wrote is put in as text, never as markup.

const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const ABSOLUTE = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "long" });
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60]];

/** Make the element of a notification. */
export function createItem({ id, type, title, message, payload, created_at }) {
  const element = document.getElementById("item-template").content.firstElementChild.cloneNode(true);
  const find = (selector) => element.querySelector(selector);
  element.dataset.id = id;
  find(".type").textContent = type;
  find("h3").textContent = title;
  find(".message").textContent = message;
  find("time").dateTime = created_at;
  find("time").title = ABSOLUTE.format(new Date(created_at));
  find("[name=read]").setAttribute("aria-label", `Mark read: ${title}`);
  find("[name=delete]").setAttribute("aria-label", `Delete: ${title}`);
  if (Object.keys(payload ?? {}).length > 0) {
    find(".payload").hidden = false;
    find(".payload pre").textContent = JSON.stringify(payload, null, 2);
  }
  updateTime(find("time"));
  return element;
}

/** Show whether it is read. A focused button that goes hands its focus to its neighbour. */
export function updateItem(element, { is_read }) {
  if (element.classList.contains("read") === is_read) return;
  const button = element.querySelector("[name=read]");
  if (is_read && document.activeElement === button) element.querySelector("[name=delete]").focus();
  button.hidden = is_read;
  element.querySelector(".unread-mark").hidden = is_read;
  element.classList.toggle("read", is_read);
}

/** Say how long ago a `<time>` is. */
export function updateTime(element) {
  const seconds = (Date.now() - Date.parse(element.dateTime)) / 1_000;
  const [unit, length] = UNITS.find(([, unitLength]) => seconds >= unitLength) ?? [];
  const text = unit ? RELATIVE.format(-Math.floor(seconds / length), unit) : "just now";
  if (element.textContent !== text) element.textContent = text;
}
