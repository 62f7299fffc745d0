import type { NotificationStream } from "../types.js";

const PATH = "/api/preferences";

/** Where a user is notified. */
export type Channel = "inbox" | "web_push" | "email" | "apprise" | "webhook";

/** Whether a channel is on for a scope: a type, a category, or `*`. The narrowest rule that matches applies. */
export interface PreferenceRule {
  scope: string;
  channel: Channel;
  enabled: boolean;
  /** When the rule is over. */
  until?: string | null;
}

/** A user's preferences: which channels, and at which times. */
export interface Preferences {
  rules: readonly PreferenceRule[];
  /** Hours in which push and mail wait, on the clock of a time zone. */
  quiet: { from: string; to: string; timezone: string } | null;
}

/** An entry of the catalogue of types. */
export interface NotificationType {
  type: string;
  label: string;
  description: string;
  category: string | null;
  /** It cannot be switched off. */
  critical: boolean;
  /** Where else its notifications go. */
  channels: readonly { channel: string; after: string; unless: string | null }[];
}

/** The user's preferences. */
export async function readPreferences(stream: NotificationStream): Promise<Preferences> {
  return (await stream.request("GET", PATH)) as Preferences;
}

/** The catalogue of types. */
export async function readTypes(stream: NotificationStream): Promise<readonly NotificationType[]> {
  return ((await stream.request("GET", "/api/types")) as { types: NotificationType[] }).types;
}

/** Replace the user's preferences by what `change` makes of the present ones. All devices receive `preferences`. */
export async function changePreferences(
  stream: NotificationStream,
  change: (present: Preferences) => Preferences,
): Promise<Preferences> {
  return (await stream.request("PUT", PATH, change(await readPreferences(stream)))) as Preferences;
}

/** Mute a type, until a time or for good: what is created of it from now on is not stored. */
export async function muteType(stream: NotificationStream, type: string, until?: Date): Promise<Preferences> {
  const rule: PreferenceRule = { scope: type, channel: "inbox", enabled: false, until: until?.toISOString() ?? null };
  return changePreferences(stream, (present) => withRule(present, rule));
}

/** These preferences with this rule, which replaces any rule for the same scope and channel. */
export function withRule({ rules, quiet }: Preferences, rule: PreferenceRule): Preferences {
  const others = rules.filter(({ scope, channel }) => scope !== rule.scope || channel !== rule.channel);
  return { rules: [...others, rule], quiet };
}

/** Whether a channel is on for a type. */
export function isEnabled(
  { rules }: Preferences,
  { type, category, critical }: Pick<NotificationType, "type" | "category" | "critical">,
  channel: Channel,
): boolean {
  const find = (target: string | null) => rules.find((rule) => rule.channel === channel && rule.scope === target);
  return critical || (find(type) ?? find(category) ?? find("*"))?.enabled !== false;
}
