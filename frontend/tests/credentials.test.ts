import { expect, test, vi } from "vitest";
import { isApiError, ticketsFrom } from "../src/index.js";
import { server, tab } from "./scripted.js";
import { pass, settle } from "./timers.js";

test("a token is asked for at each connection", async () => {
  let issued = 0;
  tab.open({ getToken: async () => `a.token.${++issued}` });
  await settle();
  server.latest.break();
  await pass(1);
  expect(server.streams.map(({ url }) => url.searchParams.get("token"))).toEqual(["a.token.1", "a.token.2"]);
});

test("a ticket is used once", async () => {
  let issued = 0;
  const stream = tab.open({ getToken: () => "a.test.token", getTicket: () => `ticket-${++issued}` });
  await settle();
  server.latest.break();
  await pass(1);
  expect(stream.getState().status).toBe("open");
  expect(server.asked).toEqual([
    "STREAM /api/sse/notifications?ticket=ticket-1",
    "STREAM /api/sse/notifications?ticket=ticket-2&last_event_id=c-0",
  ]);
});

test("a token can be exchanged for tickets, so that no address carries it", async () => {
  const getToken = vi.fn(() => "a.test.token");
  const url = "https://push.example.com/";
  const stream = tab.open({ url, getTicket: ticketsFrom({ url, getToken, environment: server }) });
  await settle();
  expect(stream.getState().status).toBe("open");
  expect(server.latest.url.href).toBe("https://push.example.com/api/sse/notifications?ticket=ticket-1");
  expect(server.asked[0]).toBe("POST /api/sse/tickets");
});

test("a token that the exchange refuses is asked for anew, once", async () => {
  const getToken = vi.fn(({ refresh }) => (refresh ? "a.fresh.token" : "a.stale.token"));
  server.accepts = (credential) => credential !== "a.stale.token";
  const stream = tab.open({ getTicket: ticketsFrom({ getToken, environment: server }) });
  await settle();
  expect(stream.getState().status).toBe("open");
  server.accepts = () => false;
  server.latest.break();
  await pass(60);
  expect(stream.getState()).toEqual({ status: "closed", reason: "unauthorized" });
});

test("cookies go along with streams and requests", async () => {
  const fetch = vi.fn(server.fetch);
  const stream = tab.open({ cookies: true, getToken: undefined, environment: { fetch } } as never);
  await settle();
  expect(server.latest.withCredentials).toBe(true);
  await stream.request("GET", "/api/notifications/unread-count");
  expect(fetch.mock.lastCall?.[1]).toMatchObject({ credentials: "include", headers: {} });
});

test("a stream that is refused for its token gets a fresh one at once", async () => {
  const getToken = vi.fn(({ refresh }) => (refresh ? "a.fresh.token" : "a.stale.token"));
  server.accepts = (token) => token === "a.fresh.token";
  const stream = tab.open({ getToken });
  await settle();
  expect(stream.getState().status).toBe("open");
  expect(server.asked).toEqual([
    "STREAM /api/sse/notifications?token=a.stale.token",
    "GET /api/notifications/unread-count",
    "STREAM /api/sse/notifications?token=a.fresh.token",
  ]);
});

test("each token may grow stale, and each gets a fresh one", async () => {
  let newest = 1;
  let cached = 0;
  const getToken = vi.fn(({ refresh }) => {
    if (refresh) cached = newest;
    return `a.token.${cached}`;
  });
  server.accepts = (token) => token === `a.token.${newest}`;
  const stream = tab.open({ getToken });
  await settle();
  for (newest = 2; newest < 5; newest++) {
    expect(stream.getState().status).toBe("open");
    server.latest.break();
    await pass(1);
  }
  newest = 4;
  expect(stream.getState().status).toBe("open");
  server.latest.break();
  await pass(1);
  expect(getToken).toHaveBeenLastCalledWith({ refresh: false }); // the last one was good
});

test("a refusal long ago does not count", async () => {
  let asked = 0;
  server.accepts = () => ++asked > 1; // refused once, then the service is merely down
  server.onStream = 502;
  const stream = tab.open();
  await settle();
  expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "network" } });
  server.accepts = () => false;
  const tried = server.streams.length;
  stream.retryNow();
  await settle();
  expect(stream.getState()).toEqual({ status: "closed", reason: "unauthorized" });
  expect(server.streams.length - tried).toBe(2); // there was one more chance, with a fresh token
});

test("who is refused with a fresh token too is signed out, and not asked for ever", async () => {
  server.accepts = () => false;
  const stream = tab.open();
  await pass(3600);
  expect(stream.getState()).toEqual({ status: "closed", reason: "unauthorized" });
  expect(server.streams.length).toBe(2);
  server.accepts = () => true;
  stream.retryNow();
  await settle();
  expect(stream.getState().status).toBe("open");
});

test("a pending refusal does not sign out a user who has just signed in", async () => {
  let token = "a.stale.token";
  let asked = 0;
  const stream = tab.open({ getToken: () => token });
  server.accepts = (credential) => {
    asked += 1;
    if (asked === 4) {
      token = "a.fresh.token"; // while the service refuses the second attempt
      stream.retryNow();
    }
    return credential === "a.fresh.token";
  };
  await settle();
  expect(asked).toBeGreaterThan(4);
  expect(stream.getState().status).toBe("open");
});

test("a service that is down is not taken for a refusal", async () => {
  server.onStream = 502;
  server.onRequest = 502;
  const stream = tab.open();
  await settle();
  expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "refused", status: 502 } });
  server.onRequest = "break";
  await pass(1);
  expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "network" } });
  server.onStream = server.onRequest = "serve";
  await pass(30);
  expect(stream.getState().status).toBe("open");
});

test("a service that does not answer the question either is waited for no longer than a connection", async () => {
  server.onStream = 502;
  server.onRequest = "hang";
  const stream = tab.open();
  await pass(9);
  expect(stream.getState()).toMatchObject({ status: "reconnecting", attempt: 1, retryAt: null });
  await pass(1);
  expect(stream.getState()).toMatchObject({ attempt: 1, retryAt: expect.any(Number), error: { kind: "network" } });
});

test("Retry-After is kept to, unless a person asks", async () => {
  server.onStream = 429;
  server.onRequest = 429;
  server.retryAfter = "20";
  const stream = tab.open();
  await settle();
  tab.goOnline();
  tab.show("visible");
  await pass(19);
  expect(server.streams.length).toBe(1);
  server.onStream = "serve";
  await pass(2);
  expect(server.streams.length).toBe(2);
  server.onStream = 429;
  server.latest.break();
  await pass(1);
  expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "refused", status: 429 } });
  server.onStream = "serve";
  stream.retryNow();
  await settle();
  expect(stream.getState().status).toBe("open");
});

test("a getToken that fails is tried again, and its error is delivered", async () => {
  const cause = new Error("the host is down");
  const getToken = vi.fn().mockRejectedValueOnce(cause).mockResolvedValue("a.test.token");
  const stream = tab.open({ getToken });
  await settle();
  expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "credentials", cause } });
  await pass(1);
  expect(stream.getState().status).toBe("open");
});

test("a getToken that fails with 401 is called once more, then the user is signed out", async () => {
  const getToken = vi.fn().mockRejectedValue(Object.assign(new Error("signed out"), { status: 401 }));
  const stream = tab.open({ getToken });
  await pass(60);
  expect(stream.getState()).toEqual({ status: "closed", reason: "unauthorized" });
  expect(getToken.mock.calls).toEqual([[{ refresh: false }], [{ refresh: true }]]);
});

test("a getToken that never answers does not hold the stream up for ever", async () => {
  const getToken = vi
    .fn()
    .mockReturnValueOnce(new Promise(() => {}))
    .mockReturnValue("a.test.token");
  const stream = tab.open({ getToken });
  await pass(11);
  expect(stream.getState().status).toBe("open");
});

test("request() sends the token and JSON, and gives back JSON", async () => {
  const fetch = vi.fn(server.fetch);
  const stream = tab.open({ environment: { fetch } });
  server.create();
  expect(await stream.request("POST", "/api/notifications/read", { ids: [1] })).toEqual({
    updated: 1,
    unread_count: 0,
  });
  expect(fetch).toHaveBeenLastCalledWith("/api/notifications/read", {
    method: "POST",
    body: '{"ids":[1]}',
    headers: { Authorization: "Bearer a.test.token", "Content-Type": "application/json" },
    credentials: "same-origin",
  });
  expect(await stream.request("DELETE", "/api/notifications/1")).toBeUndefined();
});

test("request() sends the query of a GET, without what is not set", async () => {
  const stream = tab.open({ autoConnect: false });
  await stream.request("GET", "/api/notifications", { limit: 5, unread: false, category: undefined, q: "a b" });
  expect(server.asked).toEqual(["GET /api/notifications?limit=5&q=a+b"]);
});

test("request() asks for a fresh token once", async () => {
  server.accepts = (token) => token === "a.fresh.token";
  const stream = tab.open({
    autoConnect: false,
    getToken: ({ refresh }) => (refresh ? "a.fresh.token" : "a.stale.token"),
  });
  expect(await stream.request("GET", "/api/notifications/unread-count")).toEqual({ unread_count: 0 });
  expect(server.count("GET")).toBe(2);
});

test("request() rejects with what the service texts", async () => {
  const stream = tab.open();
  server.onRequest = 429;
  server.retryAfter = "7";
  const error = await stream.request("POST", "/api/notifications/read-all").catch((caught: unknown) => caught);
  expect(isApiError(error)).toBe(true);
  expect(error).toMatchObject({ status: 429, retryAfter: 7000, message: "429: it is refused" });
  expect(isApiError(new TypeError("Failed to fetch"))).toBe(false);
});
