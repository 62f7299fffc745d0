// Follows a stream with a common client of Node's: `node node.js NAME ADDRESS`. Prints each event as a line of JSON.
import { EventSource } from "eventsource";
import { createEventSource } from "eventsource-client";

const [name, address] = process.argv.slice(2);
const report = (event, id, data) => process.stdout.write(`${JSON.stringify({ event, id, data })}\n`);

const follow = {
  eventsource: () => {
    const source = new EventSource(address);
    for (const event of ["connected", "notification"]) {
      source.addEventListener(event, ({ data, lastEventId }) => report(event, lastEventId, data));
    }
  },
  "eventsource-client": () => {
    createEventSource({ url: address, onMessage: ({ event, id, data }) => report(event, id, data) });
  },
};
follow[name]();
