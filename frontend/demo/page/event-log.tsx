import { type ReactNode, useEffect, useState, useSyncExternalStore } from "react";
import type { StreamEvent } from "shirase";
import { useNotificationStream } from "shirase/react";
import type { Network } from "./network.js";
import { isWide } from "./window.js";

const KEPT = 100;

/** The events and requests on the wire, as they happen: none while the page is idle. */
export function EventLog({ user, network }: { user: string; network: Network }): ReactNode {
  const stream = useNotificationStream();
  const { requests } = useSyncExternalStore(network.subscribe, network.getSnapshot);
  const [{ count, lines }, setLog] = useState<{ count: number; lines: [number, StreamEvent][] }>({
    count: 0,
    lines: [],
  });
  useEffect(
    () =>
      stream?.listen((event) =>
        setLog(({ count, lines }) => ({ count: count + 1, lines: [[count, event], ...lines.slice(0, KEPT - 1)] })),
      ),
    [stream],
  );
  return (
    <details className="log" open={isWide}>
      <summary>
        Events <span className="pill">{count}</span> Requests <span className="pill">{requests}</span>
      </summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <ol tabIndex={0} aria-label={`Events of ${user}`}>
        {lines.map(([number, { event, id, data }]) => (
          <li key={number}>
            <span className="name">{event}</span> <span className="id">{id}</span>{" "}
            <code className="data">{JSON.stringify(data)}</code>
          </li>
        ))}
      </ol>
    </details>
  );
}
