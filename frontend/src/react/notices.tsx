"use client";
import type { ReactNode } from "react";
import { useProvided } from "./context.js";
import { Icon } from "./icon.js";

/** A list without rows, and why. */
export function Vacant({ title, hint, children }: { title: string; hint: string; children?: ReactNode }): ReactNode {
  return (
    <div className="shirase-empty">
      <Icon of="bell" />
      <strong className="shirase-empty-title">{title}</strong>
      <span className="shirase-empty-hint">{hint}</span>
      {children}
    </div>
  );
}

/** In the list's place for somebody who is signed out. */
export function SignedOut(): ReactNode {
  const { labels, signIn } = useProvided();
  return (
    <Vacant title={labels.signedOut} hint={labels.signedOutHint}>
      {signIn && (
        <button type="button" className="shirase-button shirase-sign-in" onClick={signIn}>
          {labels.signIn}
        </button>
      )}
    </Vacant>
  );
}

/** Something has failed. At the end of the list and always in sight, so that no row moves for it. */
export function Problem({ text, tryAgain }: { text: string; tryAgain: () => void }): ReactNode {
  const { labels } = useProvided();
  return (
    <div role="alert" className="shirase-problem">
      <p className="shirase-problem-text">{text}</p>
      <button type="button" className="shirase-button" onClick={tryAgain}>
        {labels.tryAgain}
      </button>
    </div>
  );
}
