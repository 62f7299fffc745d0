import { type ReactNode, useState } from "react";

const PATIENCE = 20_000; // milliseconds
const LOOK = 300;

/** The switch for a deploy: the workers are replaced, and no stream ends. */
export function Workers(): ReactNode {
  const [text, setText] = useState("A deploy replaces every Python worker. The streams stay open.");
  const [isBusy, setBusy] = useState(false);
  const restart = async () => {
    if (isBusy) return;
    setBusy(true);
    setText("Restarting…");
    try {
      setText(await replaceWorkers());
    } catch (error) {
      setText(`That did not work: ${(error as Error).message}`);
    } finally {
      setBusy(false);
    }
  };
  return (
    <div className="switch">
      <button type="button" className="tool" aria-disabled={isBusy} onClick={restart}>
        Restart the workers
      </button>
      <p role="status">{text}</p>
    </div>
  );
}

/** Restart, and wait until no worker of before is left. */
async function replaceWorkers(): Promise<string> {
  const before = await askFor("/demo/workers/restart", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
  });
  const deadline = Date.now() + PATIENCE;
  while (Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, LOOK));
    const now = await askFor("/demo/workers");
    if (now.length >= before.length && !now.some((pid) => before.includes(pid))) {
      return `Processes ${before.join(", ")} went, ${now.join(", ")} came.`;
    }
  }
  throw new Error("the old workers are still there");
}

async function askFor(path: string, init?: RequestInit): Promise<number[]> {
  const answer = await fetch(path, init);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? body.title);
  return body.workers;
}
