"use client";
import { type ReactNode, useState } from "react";
import { safeLink } from "../display/index.js";
import type { Notification } from "../events.js";

/** Who or what a notification is about: the latest actor's picture or initials, or the icon. Nothing if it has none. */
export function Avatar({ notification }: { notification: Notification }): ReactNode {
  const { actors, actor, icon } = notification;
  const who = actors[0] ?? actor;
  const pictures = [who?.image, who ? null : icon].flatMap((picture) => safeLink(picture) ?? []);
  const [failed, setFailed] = useState<string | null>(null);
  const picture = pictures[0];
  if (picture !== undefined && picture !== failed) {
    return (
      <img
        className="shirase-avatar"
        data-round={Boolean(who)}
        src={picture}
        alt=""
        loading="lazy"
        decoding="async"
        referrerPolicy="no-referrer"
        onError={() => setFailed(picture)}
      />
    );
  }
  if (!who) return null;
  return (
    <span className="shirase-avatar shirase-initials" data-round="true" aria-hidden="true">
      {initials(who.name)}
    </span>
  );
}

function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const letters = [words[0], words.length > 1 ? words.at(-1) : ""].map((word = "") => [...word][0] ?? "");
  return letters.join("").toLocaleUpperCase();
}
