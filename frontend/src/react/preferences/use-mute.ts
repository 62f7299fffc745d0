"use client";
import { useMemo } from "react";
import type { Notification } from "../../events.js";
import { muteType } from "../../preferences/index.js";
import { useProvided } from "../context.js";

/** What `mute` of `NotificationList` takes: mutes the type of a notification. */
export function useMute(): ((notification: Notification) => Promise<void>) | undefined {
  const stream = useProvided().client?.stream;
  return useMemo(() => stream && (async ({ type }) => void (await muteType(stream, type))), [stream]);
}
