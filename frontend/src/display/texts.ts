import type { StreamState } from "../state.js";
import type { Labels } from "./labels.js";

/** A text in the forms that a language has for numbers; `{n}` is the number. */
export type Forms = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };

type Formatted = "unread" | "badge" | "arrived" | "actors" | "waiting" | "status";

/** The words of one language. */
export interface Texts extends Omit<Labels, Formatted> {
  /** The unread count is not known. */
  unknown: string;
  unread: Forms;
  newNotification: string;
  arrived: Forms;
  others: Forms;
  waiting: Forms;
  /** The states of the connection. */
  idle: string;
  connecting: string;
  open: string;
  polling: string;
  reconnecting: string;
  offline: string;
  closed: string;
  ended: string;
  wrongUser: string;
}

/** The labels of a language, with its rules for numbers and lists. */
export function labelsFrom(locale: string, texts: Texts): Labels {
  const rules = new Intl.PluralRules(locale);
  const numbers = new Intl.NumberFormat(locale);
  const format = (forms: Forms, count: number, name = "") => {
    const text = forms[rules.select(count)] ?? forms.other;
    return text.replace("{n}", () => numbers.format(count)).replace("{name}", () => name);
  };
  const unread = (count: number | null) => (count === null ? texts.unknown : format(texts.unread, count));
  return {
    ...texts,
    unread,
    badge: (count) => (count > 99 ? `${numbers.format(99)}+` : numbers.format(count)),
    arrived: (notifications, count) => {
      const [first, ...others] = notifications;
      const single = texts.newNotification.replace("{title}", () => first?.title ?? "");
      return `${others.length === 0 ? single : format(texts.arrived, notifications.length)}. ${unread(count)}.`;
    },
    actors: ([first = "", second, third], count) => {
      if (second === undefined) return count > 1 ? `${first} (${numbers.format(count)})` : first;
      if (third === undefined) return new Intl.ListFormat(locale).format([first, second]);
      return format(texts.others, Math.max(2, count - 1), first);
    },
    waiting: (count) => format(texts.waiting, count),
    status: (state) => describe(state, texts),
  };
}

function describe(state: StreamState, texts: Texts): string {
  if (state.status === "reconnecting") return state.error.kind === "offline" ? texts.offline : texts.reconnecting;
  if (state.status !== "closed") return texts[state.status];
  const reasons = { ended: texts.ended, unauthorized: texts.signedOut, "wrong-user": texts.wrongUser };
  return (reasons as Partial<Record<typeof state.reason, string>>)[state.reason] ?? texts.closed;
}
