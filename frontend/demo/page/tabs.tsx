import { type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import type { Session } from "./session.js";

const COUNT = 10;
const SETTLE = 700; // milliseconds after the last change until the streams are counted

/** The switches that open ten tabs, and count what they cost the server. */
export function TabsSwitch({ isOpen, onToggle }: { isOpen: boolean; onToggle: () => void }): ReactNode {
  return (
    <div className="switch">
      <button type="button" className="tool" aria-pressed={isOpen} onClick={onToggle}>
        {isOpen ? "Close the tabs" : "Open ten tabs"}
      </button>
      <p>All tabs of one user share one stream. Close the one that holds it, and another takes over.</p>
    </div>
  );
}

/**
 * Ten pages of one user. They are frames, since one click may open only one real tab; to the browser, and to the
 * client, they are pages like any other.
 */
export function Tabs({ session }: { session: Session }): ReactNode {
  const [numbers, setNumbers] = useState(() => Array.from({ length: COUNT }, (_, index) => index + 1));
  const section = useRef<HTMLElement>(null);
  const streams = useStreamCount(session);
  useEffect(() => {
    section.current?.scrollIntoView({ block: "nearest" });
  }, []);
  return (
    <section ref={section} className="card tabs" aria-labelledby="tabs-title">
      <div className="card-head">
        <h2 id="tabs-title">
          {numbers.length} tabs of {session.user}
        </h2>
        <p role="status">
          {streams === null
            ? "Counting the streams…"
            : `${streams === 1 ? "1 stream" : `${streams} streams`} at the server`}
        </p>
      </div>
      <ul className="tab-list">
        {numbers.map((number) => (
          <li key={number}>
            <button
              type="button"
              className="close"
              aria-label={`Close tab ${number}`}
              onClick={() => setNumbers(numbers.filter((other) => other !== number))}
            >
              ×
            </button>
            <iframe title={`Tab ${number}`} src={`/demo/tab.html?${new URLSearchParams({ user: session.user })}`} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The number of the user's streams, counted again when a frame reports a change of its connection. */
function useStreamCount({ getToken }: Session): number | null {
  const [streams, setStreams] = useState<number | null>(null);
  const count = useCallback(async () => {
    const headers = { Authorization: `Bearer ${await getToken({ refresh: false })}` };
    const answer = await fetch("/api/sse/status", { headers });
    if (answer.ok) setStreams((await answer.json()).user_connections);
  }, [getToken]);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const receive = ({ origin, data }: MessageEvent) => {
      if (origin !== location.origin || data !== "shirase-tab") return;
      clearTimeout(timer);
      timer = setTimeout(count, SETTLE);
    };
    addEventListener("message", receive);
    return () => {
      clearTimeout(timer);
      removeEventListener("message", receive);
    };
  }, [count]);
  return streams;
}
