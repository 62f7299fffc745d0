"use client";
import { type ReactNode, useState } from "react";
import { NotificationsProvider, type NotificationsProviderProps } from "../react/index.js";
import { createFakeService } from "./fake-service.js";
import type { FakeService } from "./types.js";

/** What `FakeNotificationsProvider` takes: the service, and whatever else `NotificationsProvider` does. */
export interface FakeNotificationsProviderProps extends Omit<NotificationsProviderProps, "environment" | "getToken"> {
  /** One of its own by default. */
  service?: FakeService | undefined;
}

/** A `NotificationsProvider` that talks to a fake service instead of a network. */
export function FakeNotificationsProvider({ service, ...props }: FakeNotificationsProviderProps): ReactNode {
  const [own] = useState(() => service ?? createFakeService());
  return <NotificationsProvider {...(service ?? own).options} {...props} />;
}
