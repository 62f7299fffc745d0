"use client";
import type { ReactNode } from "react";
import { useProvided } from "./context.js";
import { Icon } from "./icon.js";

/** A list without rows, and why. */
function Vacant({ title, hint, children }: { title: string; hint?: string; children?: ReactNode }): ReactNode {
  return (
    <div className="shirase-empty">
      <Icon of="bell" />
      <strong className="shirase-empty-title">{title}</strong>
      {hint && <span className="shirase-empty-hint">{hint}</span>}
      {children}
    </div>
  );
}

/** Nothing is there, or nothing was found. */
export function Empty({ isSearch }: { isSearch: boolean }): ReactNode {
  const { labels } = useProvided();
  return isSearch ? <Vacant title={labels.noResults} /> : <Vacant title={labels.empty} hint={labels.emptyHint} />;
}

/** Shown in place of the list to a signed-out user. */
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

/** Rows to come. */
export function Loading(): ReactNode {
  const { labels } = useProvided();
  return (
    <div className="shirase-loading">
      <p className="shirase-hidden">{labels.loading}</p>
      {[1, 2, 3].map((row) => (
        <div key={row} className="shirase-bone" aria-hidden="true" />
      ))}
    </div>
  );
}

/** The list could not be fetched, and nothing of it is there. */
export function Failed({ tryAgain }: { tryAgain: () => void }): ReactNode {
  const { labels } = useProvided();
  return (
    <div role="alert">
      <Vacant title={labels.notLoaded}>
        <button type="button" className="shirase-button shirase-sign-in" onClick={tryAgain}>
          {labels.tryAgain}
        </button>
      </Vacant>
    </div>
  );
}

/** The heading of a day. */
export function Day({ day }: { day: string }): ReactNode {
  return <li className="shirase-day">{day}</li>;
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
