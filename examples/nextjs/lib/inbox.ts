import type { InitialInbox } from "shirase/react";

const SERVICE = process.env.SHIRASE_URL ?? "http://127.0.0.1:7999";

/** The newest page of the user's list, so that the first paint is full; the stream goes on behind its `cursor`. */
export async function fetchInbox(token: string): Promise<InitialInbox | undefined> {
  const answer = await fetch(`${SERVICE}/api/notifications?limit=30`, {
    headers: { Authorization: `Bearer ${token}` },
    cache: "no-store",
  }).catch(() => null);
  if (!answer?.ok) return undefined; // the browser fetches it, and asks to sign in if need be
  const { notifications, unread_count, next_before, cursor } = await answer.json();
  return { notifications, unreadCount: unread_count, nextBefore: next_before, cursor };
}
