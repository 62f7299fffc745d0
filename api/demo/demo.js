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
    former.stop();
    former.element.replaceWith(seat(side, detail).element);
    panels[side].start();
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
for (const panel of Object.values(panels)) panel.start();
setInterval(() => place.querySelectorAll("time").forEach(updateTime), CLOCK);
