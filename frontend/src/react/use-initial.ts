"use client";
import { useState } from "react";
import type { InitialInbox } from "./initial.js";
import { type ClientOptions, identify } from "./use-client.js";

/**
 * The `initial` that a client begins with: that of its own user, as it was when the options named this user first.
 *
 * @returns the same object while the options make the same client. `undefined` for a user who comes after another one,
 * unless a new `initial` came with them: what one user has is not shown to the next.
 */
export function useInitial(options: ClientOptions): InitialInbox | undefined {
  const { initial: passed } = options;
  const identity = options.user === null ? null : identify(options);
  const [kept, setKept] = useState(() => ({ identity, passed, initial: ofUser(options) }));
  if (kept.identity === identity) return kept.initial;
  const next = { identity, passed, initial: passed === kept.passed ? undefined : ofUser(options) };
  setKept(next);
  return next.initial;
}

function ofUser({ initial, user }: ClientOptions): InitialInbox | undefined {
  if (user === null) return undefined;
  const isOthers =
    user !== undefined && initial?.notifications.some((notification) => notification.user_id !== String(user));
  return isOthers ? undefined : initial;
}
