import { type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import type { Arrivals } from "./arrivals.js";
import { EXAMPLES } from "./examples.js";
import { announce, type Draft, errorOf, type FieldError, Refused, send } from "./producer.js";
import type { Session } from "./session.js";
import { isWide } from "./window.js";

const FIELDS = ["user_id", "type", "title", "message", "payload"];
const NONE: FieldError[] = [];

/** Whom a notification is for. */
interface Choice {
  label: string;
  users: string[];
  isAnnounced?: boolean;
}

/** The form that creates notifications, for one of the users, for both or for everyone. */
export function Composer({ sessions, arrivals }: { sessions: Session[]; arrivals: Arrivals }): ReactNode {
  const users = [...new Set(sessions.map(({ user }) => user))];
  const choices: Choice[] = users.map((user) => ({ label: user, users: [user] }));
  if (users.length > 1) choices.push({ label: "Both", users });
  choices.push({ label: "Everyone", users, isAnnounced: true });
  const [chosen, setChosen] = useState(0);
  const [example, setExample] = useState(0);
  const [fields, setFields] = useState(() => fill(0));
  const [errors, setErrors] = useState(NONE);
  const [outcome, setOutcome] = useState({ text: "", failed: false });
  const [isSending, setSending] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const to = choices[chosen] ?? choices[0];

  useEffect(() => {
    if (errors.length > 0) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [errors]);

  const takeExample = () => {
    const next = (example + 1) % EXAMPLES.length;
    setExample(next);
    setFields(fill(next));
    setErrors(NONE);
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const [session] = sessions;
    if (isSending || !session || !to) return;
    setSending(true);
    setErrors(NONE);
    setOutcome({ text: "Sending…", failed: false });
    const watch = arrivals.watch((text) => setOutcome({ text, failed: false }));
    try {
      watch.expect(await (to.isAnnounced ? announce : send)(session, to.users, read(fields)));
    } catch (problem) {
      watch.stop();
      const { message, errors = NONE } = problem as Refused;
      const others = errors.filter(({ field }) => !FIELDS.some((name) => errorOf([{ field, message }], name)));
      setErrors(errors);
      setOutcome({ text: errors.length > others.length ? "" : message, failed: true });
    } finally {
      setSending(false);
    }
  };
  const bind = (name: keyof Fields) => ({
    name,
    value: fields[name],
    error: errorOf(errors, name),
    onChange: (value: string) => setFields({ ...fields, [name]: value }),
  });

  return (
    <form ref={form} className="card composer" noValidate aria-labelledby="composer-title" onSubmit={submit}>
      <div className="card-head">
        <h2 id="composer-title">New notification</h2>
        <button type="button" className="quiet" onClick={takeExample}>
          Another example
        </button>
      </div>
      <fieldset className="to">
        <legend>To</legend>
        <div className="choices">
          {choices.map((choice, index) => (
            <label key={`${choice.label} ${choice.users.length}`}>
              <input type="radio" name="to" checked={choice === to} onChange={() => setChosen(index)} />
              <span>{choice.label}</span>
            </label>
          ))}
        </div>
      </fieldset>
      <Field label="Title" {...bind("title")} />
      <Field label="Message" rows={2} {...bind("message")} />
      <details className="more" open={isWide || errors.length > 0}>
        <summary>Type and payload</summary>
        <Field label="Type" {...bind("type")} />
        <Field label="Payload" rows={2} code {...bind("payload")} />
      </details>
      <button type="submit" className="primary" aria-disabled={isSending}>
        Send
      </button>
      <p className="outcome" role="status" data-failed={outcome.failed}>
        {outcome.text}
      </p>
    </form>
  );
}

interface FieldProps {
  label: string;
  name: string;
  value: string;
  error: string | undefined;
  onChange: (value: string) => void;
  rows?: number;
  code?: boolean;
}

/** One field, and what is wrong with it beside it. */
function Field({ label, name, value, error, onChange, rows, code = false }: FieldProps): ReactNode {
  const id = useId();
  const control = {
    id,
    name,
    value,
    className: code ? "code" : undefined,
    autoComplete: "off",
    spellCheck: rows !== undefined && !code,
    "aria-invalid": error !== undefined,
    "aria-describedby": error === undefined ? undefined : `${id}-error`,
    onChange: ({ target }: { target: { value: string } }) => onChange(target.value),
  };
  return (
    <div className="field" data-field={name}>
      <label htmlFor={id}>{label}</label>
      {rows ? <textarea rows={rows} {...control} /> : <input autoCapitalize="none" {...control} />}
      {error !== undefined && (
        <p className="error" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  );
}

type Fields = Record<"type" | "title" | "message" | "payload", string>;

function fill(number: number): Fields {
  const { payload, ...texts } = EXAMPLES[number] ?? { type: "", title: "", message: "", payload: {} };
  return { ...texts, payload: Object.keys(payload).length > 0 ? JSON.stringify(payload) : "" };
}

function read({ payload, ...texts }: Fields): Draft {
  if (!payload.trim()) return texts;
  try {
    return { ...texts, payload: JSON.parse(payload) };
  } catch {
    throw new Refused("", [{ field: "payload", message: "is not valid JSON" }]);
  }
}
