import { daysSince } from "./day.js";

const UNITS = [
  ["year", 365 * 86_400],
  ["month", 30 * 86_400],
  ["week", 7 * 86_400],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

const formats = new Map<string | undefined, Intl.RelativeTimeFormat>();

/**
 * How long ago something was, in words: "2 hours ago". What lies in the future, by a clock that is wrong, is "now".
 *
 * @param at RFC 3339, as the service sends it.
 * @param locale the language, such as `de` or `ja-JP`; the browser's by default.
 */
export function relativeTime(at: string, locale?: string, now: number = Date.now()): string {
  const format = formats.get(locale) ?? new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  formats.set(locale, format);
  const seconds = (now - Date.parse(at)) / 1_000;
  for (const [unit, length] of UNITS) {
    if (seconds < length) continue;
    // "Yesterday" is a day of the calendar, as in the heading of a group.
    return format.format(-(unit === "day" ? daysSince(at, now) : Math.floor(seconds / length)), unit);
  }
  return format.format(0, "second");
}
