"use client";
import { useSyncExternalStore } from "react";
import type { StreamState } from "../state.js";
import type { NotificationStream } from "../types.js";

const IDLE: StreamState = { status: "idle" };
const neverChanges = () => () => {};

/** The state of a stream; `idle` without one. */
export function useStateOf(stream: NotificationStream | null | undefined): StreamState {
  return useSyncExternalStore(
    stream?.subscribe ?? neverChanges,
    () => stream?.getState() ?? IDLE,
    () => IDLE,
  );
}
