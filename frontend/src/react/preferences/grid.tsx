"use client";
import { type ReactNode, useId, useState } from "react";
import { type Channel, isEnabled, type NotificationType, type Preferences } from "../../preferences/index.js";
import { classNames } from "../class-names.js";
import { useProvided } from "../context.js";
import { useSignedOut } from "../hooks.js";
import { Problem } from "../notices.js";
import { useNotificationPreferences } from "./use-preferences.js";

/** What `NotificationPreferences` takes. */
export interface NotificationPreferencesProps {
  className?: string | undefined;
  /** The columns, in order. By default the inbox, and the channels that the policy of some type names. */
  channels?: readonly Channel[] | undefined;
}

const SWITCHED: readonly Channel[] = ["inbox", "web_push", "email", "apprise"];

/** What the user gets: a checkbox for each type of the catalogue and each channel. */
export function NotificationPreferences({ className, channels }: NotificationPreferencesProps): ReactNode {
  const { labels, parts } = useProvided();
  const { types, preferences, error, set, refresh } = useNotificationPreferences();
  const [refused, setRefused] = useState<(() => void) | null>(null);
  const isSignedOut = useSignedOut();
  const titleId = useId();
  const outer = classNames("shirase-preferences", className);
  const names: Record<Channel, string> = {
    inbox: labels.inInbox,
    web_push: labels.byPush,
    email: labels.byEmail,
    apprise: labels.byOthers,
    webhook: "Webhook",
  };
  if (isSignedOut || !types || !preferences) {
    const vacant = error ? <parts.Failed tryAgain={refresh} /> : <parts.Loading />;
    return <section className={outer}>{isSignedOut ? <parts.SignedOut /> : vacant}</section>;
  }
  const rows = [...types, ...othersOf(types, preferences)];
  const columns = channels ?? SWITCHED.filter((channel) => rows.some((type) => goesTo(type, channel)));

  const change = (type: string, channel: Channel, enabled: boolean) => {
    setRefused(null);
    set(type, channel, enabled).catch(() => setRefused(() => () => change(type, channel, enabled)));
  };

  return (
    <section className={outer} aria-labelledby={titleId}>
      <table className="shirase-grid">
        <caption className="shirase-grid-title" id={titleId}>
          {labels.preferences}
        </caption>
        <thead className="shirase-grid-head">
          <tr className="shirase-grid-channels">
            <td className="shirase-cell" />
            {columns.map((channel) => (
              <th key={channel} className="shirase-channel" scope="col">
                {names[channel]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="shirase-grid-body">
          {rows.map((type) => (
            <tr key={type.type} className="shirase-grid-row">
              <th className="shirase-kind" scope="row">
                {type.label || type.type}
                {type.description && <small className="shirase-kind-about">{type.description}</small>}
              </th>
              {columns.map((channel) => (
                <td key={channel} className="shirase-cell">
                  {goesTo(type, channel) && (
                    <label className="shirase-switch" title={type.critical ? labels.alwaysOn : undefined}>
                      <input
                        type="checkbox"
                        className="shirase-checkbox"
                        aria-label={`${type.label || type.type}: ${names[channel]}`}
                        checked={isEnabled(preferences, type, channel)}
                        disabled={type.critical}
                        onChange={({ target }) => change(type.type, channel, target.checked)}
                      />
                    </label>
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {refused && <Problem text={labels.notSaved} tryAgain={refused} />}
    </section>
  );
}

/** Types without an entry in the catalogue that a rule for the inbox names, so that a mute of such a type can end. */
function othersOf(types: readonly NotificationType[], { rules }: Preferences): NotificationType[] {
  const known = new Set<string | null>(["*", ...types.flatMap(({ type, category }) => [type, category])]);
  return rules
    .filter(({ scope, channel }) => channel === "inbox" && !known.has(scope))
    .map(({ scope }) => ({ type: scope, label: "", description: "", category: null, critical: false, channels: [] }));
}

function goesTo({ channels }: NotificationType, channel: Channel): boolean {
  return channel === "inbox" || channels.some((step) => step.channel === channel);
}
