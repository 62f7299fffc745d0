// The page: two panels and the form. Their users are in the address, so that a reload or a second tab has the same.

import { Composer } from "./composer.js";
import { updateTime } from "./item.js";
import { Panel } from "./panel.js";

const USERS = { left: "Aiko", right: "Ben" };
const CLOCK = 15_000; // milliseconds between two looks at "2 minutes ago"; it asks no server

const address = new URL(location.href);
const place = document.getElementById("panels");
const panels = {};

function seat(side, userId) {
  const panel = new Panel(userId);
  panel.element.addEventListener("switch", ({ detail }) => {
    address.searchParams.set(side, detail);
    history.replaceState(null, "", address);
    const former = panels[side];
    former.pause();
    former.element.replaceWith(seat(side, detail).element);
    panels[side].resume();
    panels[side].element.querySelector("[name=user_id]").focus();
    composer.offerUsers();
  });
  panels[side] = panel;
  return panel;
}

for (const [side, userId] of Object.entries(USERS)) {
  place.append(seat(side, address.searchParams.get(side) || userId).element);
}
const composer = new Composer(document.getElementById("composer"), () => Object.values(panels));

// A browser opens six connections to one address at most, and a held stream is one of them: three tabs of this page
// would leave none for their requests. So a hidden one lets its streams go, and catches up when it is looked at again.
function attend() {
  for (const panel of Object.values(panels)) document.hidden ? panel.pause() : panel.resume();
}

document.addEventListener("visibilitychange", attend);
attend();
setInterval(() => place.querySelectorAll("time").forEach(updateTime), CLOCK);
