// Under exactOptionalPropertyTypes an option that is `undefined` may be passed on, and counts as left out.
import { render, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import type { InboxOptions } from "../../src/inbox/index.js";
import { createInbox } from "../../src/inbox/index.js";
import type { NotificationStream, StreamOptions } from "../../src/index.js";
import { createNotificationStream } from "../../src/index.js";
import type {
  LoneStreamOptions,
  NotificationBellProps,
  NotificationListProps,
  NotificationSSEOptions,
  NotificationsFilter,
  NotificationsProviderProps,
  NotificationTab,
  NotificationToastsProps,
  SSEConnectionStatusProps,
} from "../../src/react/index.js";
import { NotificationBell, NotificationList, NotificationToasts } from "../../src/react/index.js";
import type { NotificationPreferencesProps } from "../../src/react/preferences/index.js";
import { createFakeService } from "../../src/testing/index.js";
import { FakeNotificationsProvider } from "../../src/testing/react.js";

type OptionalOf<T> = { [K in keyof T]-?: object extends Pick<T, K> ? K : never }[keyof T];
type PassedOn<T> = Omit<T, OptionalOf<T>> & { [K in OptionalOf<T>]?: T[K] | undefined };

/** Compiles only if each optional member of `T` takes `undefined`. */
const takesUndefined = <T,>(value: PassedOn<T> extends T ? PassedOn<T> : never) => value;

test("every option takes undefined", () => {
  const checked = [
    takesUndefined<StreamOptions>({}),
    takesUndefined<InboxOptions>({}),
    takesUndefined<NotificationsProviderProps>({}),
    takesUndefined<LoneStreamOptions>({}),
    takesUndefined<NotificationSSEOptions>({}),
    takesUndefined<NotificationsFilter>({}),
    takesUndefined<NotificationBellProps>({}),
    takesUndefined<NotificationListProps>({}),
    takesUndefined<NotificationTab>({}),
    takesUndefined<NotificationToastsProps>({}),
    takesUndefined<SSEConnectionStatusProps>({}),
    takesUndefined<NotificationPreferencesProps>({}),
  ];
  expect(checked).toHaveLength(12);
});

test("an option that is undefined has its default", async () => {
  const service = createFakeService({ user: 42 });
  service.notify({ title: "One" });
  const stream: NotificationStream = createNotificationStream({
    ...service.options,
    url: undefined,
    shareTabs: undefined,
    autoConnect: undefined,
    heartbeat: undefined,
    maxDelay: undefined,
    pollAfter: undefined,
    cursor: undefined,
  });
  const inbox = createInbox(stream, {
    pageSize: undefined,
    category: undefined,
    search: undefined,
    initial: undefined,
  });
  await expect.poll(() => inbox.getSnapshot().notifications.map(({ title }) => title)).toEqual(["One"]);
  inbox.close();
  stream.close();
});

test("components with undefined options are as without them", async () => {
  const service = createFakeService({ user: 42 });
  service.notify({ title: "One" });
  render(
    <FakeNotificationsProvider
      service={service}
      locale={undefined}
      labels={undefined}
      parts={undefined}
      initial={undefined}
      navigate={undefined}
      onSignIn={undefined}
      titleCount={undefined}
      announce={undefined}
    >
      <NotificationBell align={undefined} open={undefined} onOpenChange={undefined} className={undefined} />
      <NotificationList tabs={undefined} search={undefined} linkTo={undefined} onSelect={undefined} mute={undefined} />
      <NotificationToasts limit={undefined} duration={undefined} />
    </FakeNotificationsProvider>,
  );
  await screen.findByRole("button", { name: "Notifications, 1 unread" });
  expect(await screen.findByText("One")).toBeTruthy();
});
