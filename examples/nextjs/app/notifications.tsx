"use client";
import { useRouter } from "next/navigation";
import type { ReactNode } from "react";
import { type InitialInbox, NotificationBell, NotificationsProvider, SSEConnectionStatus } from "shirase/react";

interface Props {
  user: string | null;
  initial: InitialInbox | undefined;
  children: ReactNode;
}

/** Opens the stream in the browser; on the server it renders what was fetched there. */
export function Notifications({ user, initial, children }: Props) {
  const router = useRouter();
  return (
    <NotificationsProvider
      url={process.env.NEXT_PUBLIC_API_URL ?? ""}
      user={user}
      cookies
      {...(initial && { initial })}
      navigate={router.push}
      onSignIn={() => router.push("/sign-in")}
    >
      <header>
        <NotificationBell />
        <SSEConnectionStatus />
      </header>
      {children}
    </NotificationsProvider>
  );
}
