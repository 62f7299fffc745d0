import { type ReactNode, useEffect, useState } from "react";

const LOOK = 1000; // milliseconds, while a mail is due
const SOON = 60_000;

/** One notification on its way to mail. */
interface Delivery {
  id: number;
  user_id: string;
  title: string | null;
  state: "pending" | "sent" | "skipped" | "cancelled" | "dead";
  reason: string | null;
  due_at: string;
  mail: { to: string; subject: string; text: string } | null;
}

interface MailsProps {
  users: string[];
  /** How many notifications have arrived: each may go to mail. */
  arrived: number;
}

/** The mails of both users, as a mail server on this machine has them, and those that reading has made needless. */
export function Mails({ users, arrived }: MailsProps): ReactNode {
  const deliveries = useDeliveries(users, arrived);
  return (
    <section className="card plugs" aria-labelledby="mails-title">
      <h2 id="mails-title">Mail</h2>
      <div className="switch">
        <p>
          {deliveries === null
            ? "Mail goes to the server that SMTP_HOST names."
            : "What is not read in ten seconds becomes a mail. Read it in time, or mute its kind, and none is sent."}
        </p>
      </div>
      {deliveries && deliveries.length > 0 && (
        <ol className="mails" aria-label="Mails">
          {deliveries.map((delivery) => (
            <Row key={delivery.id} {...delivery} />
          ))}
        </ol>
      )}
      <p className="shirase-hidden" role="status">
        {announced(deliveries)}
      </p>
    </section>
  );
}

function Row({ user_id, title, state, reason, due_at, mail }: Delivery): ReactNode {
  const name = (
    <>
      <strong>{title ?? mail?.subject ?? "Taken back"}</strong> <span className="for">for {user_id}</span>
    </>
  );
  return (
    <li data-state={state}>
      {mail ? (
        <details>
          <summary>
            {name} <span className="pill">mail sent</span>
          </summary>
          <p className="to">To {mail.to}</p>
          <pre>{mail.text.trim()}</pre>
        </details>
      ) : (
        <>
          {name} <span className="pill">{becomes(state, reason, due_at)}</span>
        </>
      )}
    </li>
  );
}

function becomes(state: Delivery["state"], reason: string | null, due_at: string): string {
  if (state === "cancelled") return `${reason}: no mail`;
  if (state !== "pending") return reason ?? "mail sent";
  const left = Math.ceil((Date.parse(due_at) - Date.now()) / 1000);
  return left > 0 ? `mail in ${left} s` : "sending …";
}

/** What is announced of the newest one: nothing while it waits, since every second would be too often. */
function announced(deliveries: Delivery[] | null): string {
  const [newest] = deliveries ?? [];
  if (!newest || newest.state === "pending") return "";
  const what = newest.mail ? "mail sent" : becomes(newest.state, newest.reason, newest.due_at);
  return `${newest.title ?? "Taken back"}, for ${newest.user_id}: ${what}.`;
}

/** Fetched when a notification arrives, and each second while a mail is due; not at all while the page is idle. */
function useDeliveries(users: string[], arrived: number): Delivery[] | null {
  const [deliveries, setDeliveries] = useState<Delivery[] | null>([]);
  const query = new URLSearchParams(users.map((user) => ["user", user])).toString();
  // biome-ignore lint/correctness/useExhaustiveDependencies: what has arrived may be due
  useEffect(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout>;
    const look = async () => {
      const latest = await fetch(`/demo/mails?${query}`)
        .then((answer) => (answer.ok ? answer.json() : undefined))
        .catch(() => undefined); // the workers may just be restarting
      if (isOver) return;
      if (latest) setDeliveries(latest.mails);
      if (!latest || latest.mails?.some(isDue)) timer = setTimeout(look, LOOK);
    };
    look();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [query, arrived]);
  return deliveries;
}

function isDue({ state, due_at }: Delivery): boolean {
  return state === "pending" && Date.parse(due_at) - Date.now() < SOON;
}
