import { type FormEvent, type ReactNode, useId, useState, useSyncExternalStore } from "react";
import type { Notification } from "shirase";
import { NotificationBell, NotificationList, SSEConnectionStatus, useNotificationSSE } from "shirase/react";
import { NotificationPreferences, useMute } from "shirase/react/preferences";
import { EventLog } from "./event-log.js";
import type { Network } from "./network.js";
import type { Session } from "./session.js";

interface PanelProps extends Pick<Session, "user" | "getToken"> {
  network: Network;
  isSignedOut: boolean;
  onSignOut: (isSignedOut: boolean) => void;
  onArrival: (notification: Notification) => void;
  onSwitch: (user: string) => Promise<void>;
}

/** One user's panel: the state of the connection, the bell, the list, and the events on the wire. */
export function Panel({ user, getToken, network, isSignedOut, onSignOut, onArrival, onSwitch }: PanelProps): ReactNode {
  const { isCut } = useSyncExternalStore(network.subscribe, network.getSnapshot);
  const [showsKinds, setShowsKinds] = useState(false);
  const kindsId = useId();
  const muteType = useMute();
  useNotificationSSE({ onNotification: onArrival });
  // What was muted is shown, with the box that brings it back.
  const mute =
    muteType &&
    (async (notification: Notification) => {
      await muteType(notification);
      setShowsKinds(true);
    });
  const openRaw = async () => {
    const query = new URLSearchParams({ token: await getToken({ refresh: false }) });
    open(`/api/sse/notifications?${query}`, "_blank", "noopener");
  };
  return (
    <section className="card panel" aria-label={`Panel of ${user}`} data-cut={isCut}>
      <header className="panel-head">
        <span className="avatar" data-hue={hue(user)} aria-hidden="true">
          {[...user][0]?.toUpperCase()}
        </span>
        <Who key={user} user={user} onSwitch={onSwitch} />
        <SSEConnectionStatus />
        <NotificationBell mute={mute} />
      </header>
      <div className="panel-tools">
        <button
          type="button"
          className="tool plug"
          aria-pressed={isCut}
          onClick={isCut ? network.restore : network.cut}
        >
          {isCut ? "Restore the network" : "Cut the network"}
        </button>
        <button type="button" className="tool" onClick={() => onSignOut(!isSignedOut)}>
          {isSignedOut ? "Come back" : "Leave"}
        </button>
        {!isSignedOut && (
          <button
            type="button"
            className="tool"
            aria-expanded={showsKinds}
            aria-controls={showsKinds ? kindsId : undefined}
            onClick={() => setShowsKinds(!showsKinds)}
          >
            Preferences
          </button>
        )}
        <button type="button" className="tool" onClick={openRaw}>
          Raw stream <span aria-hidden="true">↗</span>
          <span className="shirase-hidden"> (opens a new tab)</span>
        </button>
      </div>
      {showsKinds && !isSignedOut && (
        <div className="kinds" id={kindsId}>
          <NotificationPreferences />
        </div>
      )}
      <div className="scroll">
        <NotificationList mute={mute}>
          {({ payload }) =>
            Object.keys(payload).length > 0 && (
              <details className="payload">
                <summary>Payload</summary>
                <pre>{JSON.stringify(payload, null, 2)}</pre>
              </details>
            )
          }
        </NotificationList>
      </div>
      <EventLog user={user} network={network} />
    </section>
  );
}

/** The panel's user. Entering another name switches to that user, if the id is valid. */
function Who({ user, onSwitch }: Pick<PanelProps, "user" | "onSwitch">): ReactNode {
  const [name, setName] = useState(user);
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    try {
      await onSwitch(name);
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  return (
    <form className="who" noValidate onSubmit={submit}>
      <input
        value={name}
        onChange={({ target }) => setName(target.value)}
        aria-label="User id"
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
      />
      {name !== user && (
        <button type="submit" className="tool">
          Switch
        </button>
      )}
      {problem && (
        <p role="alert" className="error">
          {problem}
        </p>
      )}
    </form>
  );
}

function hue(user: string): number {
  let sum = 0;
  for (const char of user) sum += char.codePointAt(0) ?? 0;
  return sum % 6;
}
