import type { ReactNode } from "react";
import "shirase/react/styles.css";
import { fetchInbox } from "@/lib/inbox";
import { session } from "@/lib/session";
import { Notifications } from "./notifications";

export const metadata = { title: "Interviews" };

export default async function Layout({ children }: { children: ReactNode }) {
  const signedIn = await session();
  const initial = signedIn ? await fetchInbox(signedIn.token) : undefined;
  return (
    <html lang="en">
      <body>
        <Notifications user={signedIn?.user ?? null} initial={initial}>
          {children}
        </Notifications>
      </body>
    </html>
  );
}
