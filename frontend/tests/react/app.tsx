import { act, render, screen } from "@testing-library/react";
import { type ReactNode, StrictMode } from "react";
import { NotificationsProvider, type NotificationsProviderProps } from "../../src/react/index.js";
import { createScriptedServer, type ScriptedServer } from "../scripted-server.js";

/** Options that make a provider talk to the scripted server. */
export function talkTo(server: ScriptedServer): NotificationsProviderProps {
  return {
    user: "aiko",
    getToken: () => "a.test.token",
    environment: {
      EventSource: server.EventSource,
      fetch: server.fetch,
      random: () => 0.5,
      locks: undefined,
      BroadcastChannel: undefined,
    },
  };
}

/** An application around `children`, in Strict Mode as a real one, with so many notifications. */
export async function renderApp(
  children: ReactNode,
  { titles = [], ...props }: NotificationsProviderProps & { titles?: string[] } = {},
) {
  const server = createScriptedServer();
  for (const title of titles) server.create(title);
  const tree = (changed: NotificationsProviderProps = {}) => (
    <StrictMode>
      <NotificationsProvider {...talkTo(server)} {...props} {...changed}>
        {children}
      </NotificationsProvider>
    </StrictMode>
  );
  const view = render(tree());
  await settle();
  return {
    ...view,
    server,
    /** Render again, with other props. */
    change: async (changed: NotificationsProviderProps) => {
      view.rerender(tree(changed));
      await settle();
    },
    /** Do something at the server, and let it arrive. */
    happen: async (what: () => unknown) => {
      await act(async () => void (await what()));
      await settle();
    },
  };
}

/** Let pending answers arrive: the scripted server answers in microtasks. */
export async function settle(): Promise<void> {
  await act(async () => {
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
  });
}

/** The page is left: what could still be undone is carried out. */
export async function leave(): Promise<void> {
  await act(async () => void window.dispatchEvent(new Event("pagehide")));
  await act(async () => void window.dispatchEvent(new Event("pageshow")));
  await settle();
}

/** The titles on the page, from the top. */
export function titles(): (string | null)[] {
  return screen.queryAllByRole("heading", { level: 3 }).map((heading) => heading.textContent);
}
