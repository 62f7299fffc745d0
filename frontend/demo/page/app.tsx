import { type ReactNode, useCallback, useEffect, useState } from "react";
import type { Notification } from "shirase";
import { createArrivals } from "./arrivals.js";
import { Composer } from "./composer.js";
import { DesktopSwitch } from "./desktop-switch.js";
import { Living } from "./living.js";
import { Mails } from "./mails.js";
import { Seat } from "./seat.js";
import { type Session, signIn } from "./session.js";
import { Tabs, TabsSwitch } from "./tabs.js";
import { Workers } from "./workers.js";

const SIDES = ["left", "right"] as const;
const USERS = { left: "Aiko", right: "Ben" };
const arrivals = createArrivals();

/** The page: two users, the form, and the plugs to pull. Who they are is in the address, for reloads and other tabs. */
export function App(): ReactNode {
  const [sessions, setSessions] = useState<Record<"left" | "right", Session> | null>(null);
  const [problem, setProblem] = useState("");
  const [hasTabs, setTabs] = useState(false);
  const [arrived, setArrived] = useState(0);
  const record = useCallback((notification: Notification) => {
    arrivals.record(notification);
    setArrived((before) => before + 1);
  }, []);

  useEffect(() => {
    const { searchParams } = new URL(location.href);
    const [left, right] = SIDES.map((side) => signIn(searchParams.get(side) || USERS[side]));
    Promise.all([left, right]).then(
      ([left, right]) => left && right && setSessions({ left, right }),
      (error: Error) => setProblem(error.message),
    );
  }, []);

  const seat = (side: "left" | "right", session: Session) => {
    const address = new URL(location.href);
    address.searchParams.set(side, session.user);
    history.replaceState(null, "", address);
    setSessions((before) => before && { ...before, [side]: session });
  };
  const all = sessions && SIDES.map((side) => sessions[side]);

  return (
    <>
      <header className="masthead">
        <img src="/demo/logo.svg" alt="" width="36" height="36" />
        <h1>
          Shirase <span>demo</span>
        </h1>
        <p>Send a notification and watch it arrive. Then pull a plug: nothing is lost, nothing comes twice.</p>
        <nav aria-label="Page">
          <DesktopSwitch />
          <a href="/api/docs">API</a>
        </nav>
      </header>
      <main>
        {problem && (
          <p className="notice" role="alert">
            The demo cannot begin: {problem}
          </p>
        )}
        {all && (
          <>
            <div className="side">
              <Composer sessions={all} arrivals={arrivals} />
              <Mails users={all.map(({ user }) => user)} arrived={arrived} />
              <Living key={sessions.left.user} session={sessions.left} />
              <section className="card plugs" aria-labelledby="plugs-title">
                <h2 id="plugs-title">Pull a plug</h2>
                <Workers />
                <TabsSwitch isOpen={hasTabs} onToggle={() => setTabs(!hasTabs)} />
              </section>
            </div>
            <div className="panels">
              {SIDES.map((side) => (
                <Seat
                  key={side}
                  session={sessions[side]}
                  onArrival={record}
                  onSwitch={(session) => seat(side, session)}
                />
              ))}
              {hasTabs && <Tabs key={sessions.left.user} session={sessions.left} />}
            </div>
          </>
        )}
      </main>
    </>
  );
}
