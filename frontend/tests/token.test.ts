import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fetchToken } from "../src/index.js";
import { server, tab } from "./scripted.js";
import { pass, settle } from "./timers.js";

const TOKEN = "a.test.token";

let answer: () => Response;
const complain = vi.spyOn(console, "error").mockImplementation(() => {});

beforeEach(() => {
  server.accepts = (credential) => credential.startsWith(TOKEN) || credential.startsWith("ticket");
  answer = () => new Response(TOKEN);
  vi.stubGlobal("fetch", async () => answer());
  complain.mockClear();
});

afterEach(() => {
  vi.unstubAllGlobals();
});

const asText = async () => (await fetch("/my-token")).text();
const PAGE = "<!doctype html><title>Sign in</title>";

test.each([
  ["502 with a page", PAGE, 502],
  ["503 with a line of text", "Service Unavailable", 503],
  ["503 with a word", "unavailable", 503],
  ["500 with JSON", '{"error": "broken"}', 500],
  ["200 with a login page", PAGE, 200],
  ["200 with nothing", "", 200],
  ["200 with other JSON", '{"csrf": "abc"}', 200],
  ["200 with JSON null", "null", 200],
])("a host that answers %s does not sign the user out", async (_, body, status) => {
  for (const getToken of [asText, fetchToken("/my-token")]) {
    const stream = tab.open({ getToken });
    await settle();
    expect(stream.getState().status).toBe("open");
    answer = () => new Response(body, { status });
    server.latest.break();
    await pass(5);
    expect(stream.getState()).toMatchObject({ status: "reconnecting", error: { kind: "credentials" } });
    answer = () => new Response(TOKEN);
    await pass(30);
    expect(stream.getState().status).toBe("open");
    stream.close();
  }
  expect(complain.mock.calls.length).toBeLessThan(2); // not at each attempt
});

test("fetchToken: a host's 401 signs the user out", async () => {
  answer = () => new Response(PAGE, { status: 401 });
  const stream = tab.open({ getToken: fetchToken("/my-token") });
  await settle();
  expect(stream.getState()).toMatchObject({ status: "closed", reason: "unauthorized" });
  expect(server.asked).toEqual([]);
});

test("fetchToken keeps to the host's Retry-After", async () => {
  answer = () => new Response("", { status: 503, headers: { "Retry-After": "20" } });
  const stream = tab.open({ getToken: fetchToken("/my-token") });
  await settle();
  answer = () => new Response(TOKEN);
  await pass(19);
  expect(stream.getState().status).toBe("reconnecting");
  await pass(2);
  expect(stream.getState().status).toBe("open");
});

test.each([
  ["text", ` ${TOKEN}\r\n`],
  ["JSON", JSON.stringify({ token: `${TOKEN}\n` })],
])("fetchToken takes a token as %s, never from a cache", async (_, body) => {
  const fetch = vi.fn(async () => new Response(body));
  vi.stubGlobal("fetch", fetch);
  const stream = tab.open({ getToken: fetchToken("/my-token", { headers: { "X-Requested-With": "fetch" } }) });
  await settle();
  expect(stream.getState().status).toBe("open");
  expect(server.latest.url.searchParams.get("token")).toBe(TOKEN);
  expect(fetch).toHaveBeenCalledWith("/my-token", {
    cache: "no-store",
    headers: { "X-Requested-With": "fetch" },
  });
});

test.each([["token"], ["ticket"]])("a line break around a %s is dropped", async (kind) => {
  const credentials = kind === "token" ? { getToken: () => `${TOKEN}\n` } : { getTicket: () => "ticket-7\n" };
  const stream = tab.open({ getToken: undefined, ...credentials } as never);
  await settle();
  expect(stream.getState().status).toBe("open");
  expect(server.latest.url.searchParams.get(kind)).toBe(kind === "token" ? TOKEN : "ticket-7");
});

test("a token too long for an address is exchanged for a ticket", async () => {
  const stream = tab.open({ getToken: () => TOKEN + "x".repeat(4_076) });
  await settle();
  expect(stream.getState().status).toBe("open");
  expect(server.latest.url.search).toBe("?ticket=ticket-1");
});

test("a token too long for any request is reported", async () => {
  vi.resetModules(); // what was reported once on this page is not reported again
  const { createTab } = await import("./browser.js");
  const stream = createTab(server).open({ getToken: () => TOKEN + "x".repeat(8_000) });
  await pass(60);
  const state = stream.getState();
  expect(state).toMatchObject({ status: "reconnecting", error: { kind: "credentials" } });
  expect(complain.mock.calls).toEqual([["shirase: getToken must return a JWT up to 7000 long"]]);
  expect(server.asked).toEqual([]);
});
