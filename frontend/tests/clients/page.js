// Common clients of browsers, for a page of the tests: `follow[NAME](ADDRESS, say)`.
import { fetchEventSource } from "@microsoft/fetch-event-source";
import ReconnectingEventSource from "reconnecting-eventsource";

window.follow = {
  "reconnecting-eventsource": (address, say) => {
    const source = new ReconnectingEventSource(address);
    for (const event of ["connected", "notification"]) {
      source.addEventListener(event, ({ data, lastEventId }) => say(event, lastEventId, data));
    }
  },
  "@microsoft/fetch-event-source": (address, say) => {
    fetchEventSource(address, { openWhenHidden: true, onmessage: ({ event, id, data }) => say(event, id, data) });
  },
};
