import { expect, test } from "vitest";
import { browser, openTabs, server } from "./scripted.js";
import { pass, settle } from "./timers.js";

test("ten tabs share a connection, and each gets each event once", async () => {
  const tabs = await openTabs(10);
  expect(server.streams.length).toBe(1);
  server.create("One");
  server.create("Two");
  await settle();
  for (const tab of tabs) {
    expect(tab.titles()).toEqual(["One", "Two"]);
    expect(tab.cursor).toBe("c-2");
  }
  expect(tabs.map((tab) => tab.getState())).toEqual(tabs.map((_, number) => ({ status: "open", shared: number > 0 })));
});

test("tabs that open at the same instant agree on one leader", async () => {
  const tabs = Array.from({ length: 10 }, () => browser.open());
  await settle();
  expect(server.streams.length).toBe(1);
  expect(tabs.filter((tab) => tab.getState().status === "open").length).toBe(10);
  expect(tabs.map((tab) => tab.names())).toEqual(tabs.map(() => ["connected"]));
});

test("a tab that joins receives the present count", async () => {
  await openTabs(1);
  server.create();
  server.create();
  server.read([1]);
  const joined = browser.open();
  await settle();
  expect(joined.received).toEqual([
    { event: "connected", id: "c-3", data: expect.objectContaining({ user_id: "aiko", unread_count: 1 }) },
  ]);
});

test("when the leader closes, another takes over without loss", async () => {
  const [leader, ...others] = await openTabs(10);
  server.create("Before");
  await settle();
  leader.close();
  server.create("Between");
  await settle();
  server.create("After");
  await settle();
  expect(server.streams.length).toBe(2);
  expect(server.open.length).toBe(1);
  for (const tab of others) {
    expect(tab.titles()).toEqual(["Before", "Between", "After"]);
    expect(tab.getState().status).toBe("open");
  }
});

test("leaders may close one after the other", async () => {
  const tabs = await openTabs(5);
  const last = tabs.at(-1);
  for (const [number, tab] of tabs.slice(0, 4).entries()) {
    server.create(`No ${number}`);
    tab.close();
    await settle();
  }
  expect(last?.titles()).toEqual(["No 0", "No 1", "No 2", "No 3"]);
  expect(last?.getState()).toEqual({ status: "open", shared: false });
  expect(server.open.length).toBe(1);
});

test("a frozen leader hands over, and follows when it is back", async () => {
  const [leader, other] = await openTabs(2);
  leader.tab.freeze();
  await settle();
  server.create("Meanwhile");
  expect(other?.titles()).toEqual(["Meanwhile"]);
  expect(server.open.length).toBe(1);
  leader.tab.thaw();
  await settle();
  expect(leader.titles()).toEqual(["Meanwhile"]);
  expect(leader.getState()).toEqual({ status: "open", shared: true });
  expect(server.streams.length).toBe(2);
});

test("a silent leader is replaced without loss", async () => {
  const [leader, ...others] = await openTabs(4);
  server.create("Before");
  await settle();
  leader.stick();
  server.create("Unheard");
  await pass(90);
  for (const tab of others) {
    expect(tab.titles()).toEqual(["Before", "Unheard"]);
    expect(tab.getState().status).toBe("open");
  }
  leader.unstick();
  await pass(10);
  server.create("After");
  await settle();
  for (const tab of [leader, ...others]) expect(tab.titles()).toEqual(["Before", "Unheard", "After"]);
  expect(server.open.length).toBe(1);
  expect(leader.getState()).toEqual({ status: "open", shared: true });
});

test("a leader that answers keeps its place on a silent stream", async () => {
  const [, other] = await openTabs(2);
  server.onStream = "break";
  server.onRequest = "break";
  server.latest.break();
  await pass(600);
  expect(other?.getState().status).toBe("reconnecting");
  expect(browser.messages.filter((message) => (message as { type: string }).type === "lead").length).toBe(1);
  server.onStream = server.onRequest = "serve";
  await pass(60);
  expect(other?.getState()).toEqual({ status: "open", shared: true });
});

test("a tab that comes back receives what it missed", async () => {
  const [, other] = await openTabs(2);
  other?.tab.leave();
  server.create("Missed");
  server.read("all");
  await settle();
  other?.tab.comeBack();
  await settle();
  expect(other?.names()).toEqual(["connected", "notification", "read"]);
  expect(server.streams.length).toBe(1);
});

test("a tab that missed more than is kept gets a reset", async () => {
  const [, other] = await openTabs(2);
  other?.tab.leave();
  for (let number = 0; number < 600; number++) server.create();
  other?.tab.comeBack();
  await settle();
  expect(other?.names()).toEqual(["connected", "connected", "reset"]);
  expect(other?.received.at(-2)?.data).toMatchObject({ unread_count: 600 });
  expect(other?.cursor).toBe("c-600");
});

test("a late leader begins at the others' cursor", async () => {
  const [first, second] = await openTabs(2);
  server.create("Seen");
  await settle();
  first.stick();
  second?.stick();
  server.onStream = "silent"; // the new leader has no cursor of its own yet
  const late = browser.open();
  await pass(6);
  expect(late.getState().status).toBe("connecting");
  server.create("Unheard");
  server.onStream = "serve";
  second?.unstick();
  await pass(30);
  expect(second?.titles()).toEqual(["Seen", "Unheard"]);
  expect(late.titles()).toEqual(["Unheard"]);
});

test("a former leader's late message is ignored", async () => {
  const [leader, second, third] = await openTabs(3);
  const [channel] = browser.channels;
  server.create("One");
  await settle();
  leader.close();
  server.create("Two");
  const three = server.create("Three");
  // Sent by the leader before it closed, and received when the next one had just begun.
  const late = { type: "event", from: browser.idOf(0), event: { event: "notification", id: "c-3", data: three } };
  for (const open of browser.channels) {
    const receive = open.receive.bind(open);
    open.receive = (message) => {
      receive(message);
      if ((message as { type: string }).type === "lead") receive(late);
    };
  }
  await settle();
  expect(channel).toBeDefined();
  for (const tab of [second, third]) expect(tab?.titles()).toEqual(["One", "Two", "Three"]);
});

test("after a polled reset, a joining tab gets no unknown count", async () => {
  const leader = browser.open();
  await settle();
  for (let number = 0; number < 3; number++) server.create();
  server.onStream = "silent";
  server.latest.break();
  await pass(60);
  expect(leader.getState()).toEqual({ status: "polling", shared: false });
  server.restore(0);
  server.notifications.clear();
  server.create("One");
  await settle();
  expect(leader.names().at(-1)).toBe("reset");
  const joined = browser.open();
  await settle();
  expect([joined.names(), joined.cursor, joined.getState()]).toEqual([[], "c-1", { status: "polling", shared: true }]);
});

test("a tab that is shown wakes the leader", async () => {
  const [, other] = await openTabs(2);
  server.onStream = server.onRequest = "break";
  server.latest.break();
  await pass(10);
  server.onStream = server.onRequest = "serve";
  other?.tab.show("visible");
  await settle();
  expect(other?.getState()).toEqual({ status: "open", shared: true });
});

test("two users in two tabs never mix", async () => {
  const aiko = browser.open({ user: "aiko" });
  await settle();
  server.create("For Aiko");
  const elsewhere = browser.open({ user: "aiko", url: "https://elsewhere.example.com" });
  const ben = browser.open({ user: "ben" });
  await settle();
  expect(aiko.titles()).toEqual(["For Aiko"]);
  expect(elsewhere.titles()).toEqual([]);
  expect(ben.received).toEqual([]);
  expect(ben.getState()).toEqual({ status: "closed", reason: "wrong-user" });
});

test.each([
  ["the option is off", { shareTabs: false }],
  ["the user is not known", { user: undefined as never }],
  ["there are no locks", { environment: { locks: undefined } }],
  ["there are no channels", { environment: { BroadcastChannel: undefined } }],
  [
    "channels are not allowed",
    {
      environment: {
        BroadcastChannel: class {
          constructor() {
            throw new DOMException("sandboxed", "SecurityError");
          }
        } as never,
      },
    },
  ],
  ["locks are not allowed", { environment: { locks: { request: () => Promise.reject(new Error("sandboxed")) } } }],
])("each tab has its own connection where %s", async (_, options) => {
  const tabs = [browser.open(options), browser.open(options)];
  await settle();
  expect(server.open.length).toBe(2);
  server.create("One");
  await settle();
  for (const tab of tabs) {
    expect(tab.titles()).toEqual(["One"]);
    expect(tab.getState()).toEqual({ status: "open", shared: false });
  }
});
