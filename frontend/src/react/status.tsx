"use client";
import type { ReactNode } from "react";
import type { StreamState } from "../state.js";
import { classNames } from "./class-names.js";
import { useProvided } from "./context.js";
import { useNotificationSSE } from "./use-notification-sse.js";

/** What `SSEConnectionStatus` takes. */
export interface SSEConnectionStatusProps {
  className?: string | undefined;
}

/** Shows the state of the connection, and a button to retry while there is none. */
export function SSEConnectionStatus({ className }: SSEConnectionStatusProps): ReactNode {
  const { labels } = useProvided();
  const { state, retryNow } = useNotificationSSE();
  return (
    <span className={classNames("shirase-status", className)} data-status={state.status}>
      <span role="status" className="shirase-state">
        <span className="shirase-dot" aria-hidden="true" />
        {labels.status(state)}
      </span>
      {canRetry(state) && (
        <button type="button" className="shirase-button" onClick={retryNow}>
          {labels.retryNow}
        </button>
      )}
    </span>
  );
}

function canRetry(state: StreamState): boolean {
  if (state.status === "closed") return state.reason !== "closed";
  return state.status === "reconnecting" && state.retryAt !== null;
}
