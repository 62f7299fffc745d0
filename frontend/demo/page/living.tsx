import { type ReactNode, useState } from "react";
import type { Session } from "./session.js";

const STEP = 700; // milliseconds between two changes
const LATER = 120_000;

interface LivingProps {
  session: Session;
}

type Call = (method: string, path: string, body?: object) => Promise<void>;

/** What can become of a notification after it was sent: each button plays it to one user. */
export function Living({ session }: LivingProps): ReactNode {
  const [text, setText] = useState(`Each plays to ${session.user}.`);
  const play = (scene: typeof fill) => async () => {
    try {
      await scene(session.user, (method, path, body) => call(session, method, path, body), setText);
    } catch (error) {
      setText(`That did not work: ${(error as Error).message}`);
    }
  };
  return (
    <section className="card plugs" aria-labelledby="living-title">
      <h2 id="living-title">Living notifications</h2>
      <div className="switch living">
        <button type="button" className="tool" onClick={play(fill)}>
          Progress
        </button>
        <button type="button" className="tool" onClick={play(fold)}>
          Thread
        </button>
        <button type="button" className="tool" onClick={play(takeBack)}>
          Taken back
        </button>
        <button type="button" className="tool" onClick={play(schedule)}>
          In two minutes
        </button>
        <p role="status">{text}</p>
      </div>
    </section>
  );
}

/** One notification, replaced by its key: its bar fills. */
async function fill(user_id: string, send: Call, show: (text: string) => void): Promise<void> {
  show("One key, replaced: one row, and a badge of 1.");
  for (const done of [0, 20, 40, 60, 80, 100]) {
    const title = done < 100 ? `Exporting: ${done} %` : "Export is ready";
    const message = `${"▓".repeat(done / 10)}${"░".repeat(10 - done / 10)}`;
    await send("PUT", "/keys/demo-export", {
      user_id,
      type: "export.progress",
      title,
      message,
      quiet: done % 100 !== 0,
    });
    await wait(STEP);
  }
}

/** Comments of one thread, folded into one while it is unread. */
async function fold(user_id: string, send: Call, show: (text: string) => void): Promise<void> {
  show("Four comments under one key fold into one.");
  for (const [name, message] of [
    ["Ann", "“Lovely.”"],
    ["Ben", "“Ship it on Monday?”"],
    ["Ann", "“Monday it is.”"],
    ["Chika", "“I’ll bring cake.”"],
  ]) {
    const comment = {
      type: "comment.created",
      title: "Comments on your proposal",
      message,
      actor: { name },
      fold: true,
    };
    await send("PUT", "/keys/demo-thread", { user_id, ...comment });
    await wait(STEP);
  }
}

/** One that is retracted a moment later. */
async function takeBack(user_id: string, send: Call, show: (text: string) => void): Promise<void> {
  show("Sent by mistake …");
  await send("PUT", "/keys/demo-mistake", { user_id, type: "mail.sent", title: "Sent by mistake", message: "Oops." });
  await wait(3 * STEP);
  await send("DELETE", `/keys/demo-mistake?${new URLSearchParams({ user_id })}`);
  show("… and taken back, from every device.");
}

/** One that waits for its time. */
async function schedule(user_id: string, send: Call, show: (text: string) => void): Promise<void> {
  const at = new Date(Date.now() + LATER);
  const reminder = {
    type: "reminder",
    title: "Two minutes are over",
    message: "You asked for this.",
    priority: "high",
  };
  await send("POST", "", { user_id, ...reminder, send_at: at.toISOString() });
  show(`It will arrive at ${at.toLocaleTimeString()}, also if everything restarts meanwhile.`);
}

async function call({ getToken }: Session, method: string, path: string, body?: object): Promise<void> {
  const answer = await fetch(`/api/notifications${path}`, {
    method,
    headers: { Authorization: `Bearer ${await getToken({ refresh: false })}`, "Content-Type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (answer.ok) return;
  const { detail, title } = await answer.json().catch(() => ({ title: answer.statusText }));
  throw new Error(detail ?? title);
}

function wait(delay: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delay));
}
