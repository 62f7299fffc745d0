import { act, render } from "@testing-library/react";
import { StrictMode } from "react";
import { expect, test, vi } from "vitest";
import { type NotificationSSE, type NotificationSSEOptions, useNotificationSSE } from "../../src/react/index.js";
import { createScriptedServer } from "../scripted-server.js";
import { renderApp, settle, talkTo } from "./app.js";

async function follow(options: NotificationSSEOptions = {}) {
  const server = createScriptedServer();
  const received = { onNotification: vi.fn(), onError: vi.fn(), onConnected: vi.fn() };
  const seen = { current: {} as NotificationSSE };
  const { getToken: _, ...service } = talkTo(server);
  function Listener(props: NotificationSSEOptions) {
    seen.current = useNotificationSSE({ ...(service as NotificationSSEOptions), ...received, ...options, ...props });
    return <output>{seen.current.state.status}</output>;
  }
  const tree = (props: NotificationSSEOptions) => (
    <StrictMode>
      <Listener {...props} />
    </StrictMode>
  );
  const view = render(tree({}));
  await settle();
  const happen = async (what: () => unknown) => {
    await act(async () => void (await what()));
    await settle();
  };
  const change = async (props: NotificationSSEOptions) => {
    view.rerender(tree(props));
    await settle();
  };
  return { ...view, server, received, seen, happen, change };
}

const titles = (received: { onNotification: ReturnType<typeof vi.fn> }) =>
  received.onNotification.mock.calls.map(([notification]) => notification.title);

test("without a provider it opens one stream, by cookie, and fetches no list", async () => {
  const { server, received, seen, happen, unmount } = await follow();
  expect(server.open).toHaveLength(1);
  expect(server.open[0]?.withCredentials).toBe(true);
  expect(server.count("GET /api/notifications")).toBe(0);
  expect([seen.current.isConnected, received.onConnected.mock.calls.length]).toEqual([true, 1]);
  await happen(() => server.create("One"));
  expect(titles(received)).toEqual(["One"]);
  unmount();
  expect(server.open).toEqual([]);
});

test("disconnect closes it, and retryNow goes on behind the last event", async () => {
  const { server, received, seen, happen } = await follow();
  await happen(() => server.create("Before"));
  await happen(() => seen.current.disconnect());
  expect([server.open.length, seen.current.isConnected, seen.current.state]).toEqual([
    0,
    false,
    { status: "closed", reason: "closed" },
  ]);
  await happen(() => server.create("Meanwhile"));
  await happen(() => seen.current.retryNow());
  expect([server.open.length, seen.current.isConnected]).toEqual([1, true]);
  expect(titles(received)).toEqual(["Before", "Meanwhile"]);
  expect(received.onError).not.toHaveBeenCalled();
});

test("disconnect and retryNow in one handler leave it open", async () => {
  const { server, seen, happen } = await follow();
  await happen(() => {
    seen.current.disconnect();
    seen.current.retryNow();
  });
  expect([server.open.length, seen.current.isConnected]).toEqual([1, true]);
});

test("without autoReconnect a loss is the end, until retryNow", async () => {
  const { server, received, seen, happen } = await follow({ autoReconnect: false });
  await happen(() => server.latest.break());
  expect(received.onError).toHaveBeenLastCalledWith({ status: "closed", reason: "lost" });
  expect([server.open.length, seen.current.isConnected]).toEqual([0, false]);
  await happen(() => seen.current.retryNow());
  expect(seen.current.isConnected).toBe(true);
});

test("nobody has no stream, and an integer is a user's id", async () => {
  const { server, seen, change } = await follow({ user: null });
  expect([server.streams.length, seen.current.state.status]).toEqual([0, "idle"]);
  server.userId = "42";
  await change({ user: 42 });
  expect(seen.current.isConnected).toBe(true);
  await change({ user: "42" });
  expect(server.streams.filter(({ closed }) => !closed)).toHaveLength(1);
  expect(seen.current.isConnected).toBe(true);
});

test("below a provider disconnect is for this component alone", async () => {
  const received = { onNotification: vi.fn() };
  const seen = { current: {} as NotificationSSE };
  function Listener() {
    seen.current = useNotificationSSE(received);
    return <output>{seen.current.state.status}</output>;
  }
  const { server, happen } = await renderApp(<Listener />);
  await happen(() => seen.current.disconnect());
  await happen(() => server.create("Unheard"));
  expect([server.open.length, seen.current.isConnected, titles(received)]).toEqual([1, false, []]);
  await happen(() => seen.current.retryNow());
  await happen(() => server.create("Received"));
  expect([server.streams.length, seen.current.isConnected, titles(received)]).toEqual([1, true, ["Received"]]);
});
