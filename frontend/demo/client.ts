// What the demo page's own address serves of the client: /demo/client.js, built by `npm run demo` and committed, so
// that the page needs no Node.
export * from "../src/inbox/index.js";
export * from "../src/index.js";
