// Common clients of browsers, for a page of the tests: `follow[NAME](ADDRESS, report)`.
import { fetchEventSource } from "@microsoft/fetch-event-source";
import ReconnectingEventSource from "reconnecting-eventsource";

window.follow = {
  "reconnecting-eventsource": (address, report) => {
    const source = new ReconnectingEventSource(address);
    for (const event of ["connected", "notification"]) {
      source.addEventListener(event, ({ data, lastEventId }) => report(event, lastEventId, data));
    }
  },
  "@microsoft/fetch-event-source": (address, report) => {
    fetchEventSource(address, { openWhenHidden: true, onmessage: ({ event, id, data }) => report(event, id, data) });
  },
};
