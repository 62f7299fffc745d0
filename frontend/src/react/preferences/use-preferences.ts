"use client";
import { useCallback, useEffect, useState } from "react";
import {
  type Channel,
  changePreferences,
  type NotificationType,
  type Preferences,
  readPreferences,
  readTypes,
  withRule,
} from "../../preferences/index.js";
import { useProvided } from "../context.js";

/** What `useNotificationPreferences` returns. */
export interface NotificationPreferencesState {
  /** The catalogue of types; `null` until it is known. */
  readonly types: readonly NotificationType[] | null;
  /** The user's preferences; `null` until they are known. */
  readonly preferences: Preferences | null;
  /** What the last fetch failed with. */
  readonly error: unknown;
  /** Switch a channel on or off for a type. Shown at once, and taken back if the service refuses; then it rejects. */
  set(type: string, channel: Channel, enabled: boolean): Promise<void>;
  /** Fetch both again. */
  refresh(): void;
}

/** The user's preferences, kept current on all devices by the stream. */
export function useNotificationPreferences(): NotificationPreferencesState {
  const stream = useProvided().client?.stream;
  const [types, setTypes] = useState<readonly NotificationType[] | null>(null);
  const [preferences, setPreferences] = useState<Preferences | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [attempt, setAttempt] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another attempt fetches again
  useEffect(() => {
    setTypes(null);
    setPreferences(null);
    setError(null);
    if (!stream) return;
    let isOver = false;
    Promise.all([readTypes(stream), readPreferences(stream)]).then(
      ([types, preferences]) => {
        if (isOver) return;
        setTypes(types);
        setPreferences(preferences);
      },
      (problem) => isOver || setError(problem),
    );
    const stop = stream.on("preferences", ({ rules, quiet }) => setPreferences({ rules, quiet }));
    return () => {
      isOver = true;
      stop();
    };
  }, [stream, attempt]);

  const set = useCallback(
    async (type: string, channel: Channel, enabled: boolean) => {
      if (!stream) throw new Error("nobody is signed in, or this was called before the provider was mounted");
      const rule = { scope: type, channel, enabled };
      setPreferences((present) => present && withRule(present, rule));
      try {
        setPreferences(await changePreferences(stream, (present) => withRule(present, rule)));
      } catch (problem) {
        setPreferences((present) => present && withRule(present, { ...rule, enabled: !enabled }));
        throw problem;
      }
    },
    [stream],
  );
  const refresh = useCallback(() => setAttempt((before) => before + 1), []);
  return { types, preferences, error, set, refresh };
}
