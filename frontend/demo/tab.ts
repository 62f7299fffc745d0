// One tab of a user, in plain JavaScript: a badge, and whether this tab holds the stream that all of them share.
import { createNotificationStream } from "shirase";
import { createInbox } from "shirase/inbox";
import { signIn } from "./page/session.js";

const user = new URL(location.href).searchParams.get("user") ?? "";
const { getToken, heartbeat } = await signIn(user);
const stream = createNotificationStream({ user, getToken, heartbeat });
const inbox = createInbox(stream);

const show = (id: string, text: string) => {
  const element = document.getElementById(id);
  if (element) element.textContent = text;
};

inbox.subscribe(() => {
  const { unreadCount, notifications } = inbox.getSnapshot();
  show("unread", String(unreadCount ?? "…"));
  show("latest", notifications[0]?.title ?? "Nothing yet");
});

stream.subscribe(() => {
  const state = stream.getState();
  document.body.dataset["status"] = state.status;
  document.body.dataset["holds"] = String("shared" in state && !state.shared);
  show("state", "shared" in state ? (state.shared ? "shares" : "holds the stream") : state.status);
  parent.postMessage("shirase-tab", location.origin);
});
