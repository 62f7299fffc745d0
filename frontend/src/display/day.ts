const DAY = 86_400_000; // milliseconds

/**
 * The day of a moment in the reader's time zone, as the heading of a group: "Today", "Yesterday", or its date.
 *
 * @param at RFC 3339, as the service sends it.
 * @param locale the language, such as `de` or `ja-JP`; the browser's by default.
 */
export function dayOf(at: string, locale?: string, now: number = Date.now()): string {
  const moment = new Date(at);
  const ago = daysSince(at, now);
  if (ago < 2)
    return sentence(new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(-Math.max(0, ago), "day"));
  const isThisYear = moment.getFullYear() === new Date(now).getFullYear();
  const options: Intl.DateTimeFormatOptions = { weekday: "long", day: "numeric", month: "long" };
  if (!isThisYear) options.year = "numeric";
  return new Intl.DateTimeFormat(locale, options).format(moment);
}

/** The number of midnights since a moment, in the reader's time zone. */
export function daysSince(at: string, now: number): number {
  return Math.round((midnight(new Date(now)) - midnight(new Date(at))) / DAY);
}

function midnight(moment: Date): number {
  return new Date(moment.getFullYear(), moment.getMonth(), moment.getDate()).getTime();
}

function sentence(text: string): string {
  const [first = "", ...rest] = text;
  return first.toLocaleUpperCase() + rest.join("");
}
