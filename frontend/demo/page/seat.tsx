import { type ReactNode, useEffect, useState } from "react";
import type { Notification } from "shirase";
import { NotificationsProvider } from "shirase/react";
import { createNetwork, type Network } from "./network.js";
import { Panel } from "./panel.js";
import { type Session, signIn } from "./session.js";

interface SeatProps {
  session: Session;
  onArrival: (notification: Notification) => void;
  onSwitch: (session: Session) => void;
}

/** One user: signed in, with their own simulated network, in one panel. */
export function Seat({ session, onArrival, onSwitch }: SeatProps): ReactNode {
  const network = useNetwork(session.user);
  const [isSignedOut, setSignedOut] = useState(false);
  const { user, heartbeat, getToken } = session;
  return (
    network && (
      <NotificationsProvider
        user={isSignedOut ? null : user}
        getToken={getToken}
        heartbeat={heartbeat}
        environment={network.environment}
        labels={{ notifications: `Inbox of ${user}` }}
        locale="en"
        desktop
      >
        <Panel
          user={user}
          getToken={getToken}
          network={network}
          isSignedOut={isSignedOut}
          onSignOut={setSignedOut}
          onArrival={onArrival}
          onSwitch={async (other) => onSwitch(await signIn(other))}
        />
      </NotificationsProvider>
    )
  );
}

function useNetwork(user: string): Network | null {
  const [network, setNetwork] = useState<Network | null>(null);
  useEffect(() => {
    const made = createNetwork(user);
    setNetwork(made);
    return () => made.close();
  }, [user]);
  return network;
}
