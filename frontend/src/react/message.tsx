"use client";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useProvided } from "./context.js";

const SHORT = 100; // characters that fit into the lines of a message anywhere, unless there are line breaks

/** A message of a few lines; a longer one is clamped until the user expands it. */
export function Message({ text, about }: { text: string; about: string }): ReactNode {
  const { labels } = useProvided();
  const paragraph = useRef<HTMLParagraphElement>(null);
  const [isWhole, setWhole] = useState(false);
  const isCut = useCut(paragraph, text.length > SHORT || text.includes("\n"), isWhole);
  return (
    <>
      <p ref={paragraph} className="shirase-message" dir="auto" data-whole={isWhole}>
        {text}
      </p>
      {isCut && (
        <button
          type="button"
          className="shirase-read-on"
          aria-expanded={isWhole}
          aria-label={`${isWhole ? labels.less : labels.more}: ${about}`}
          onClick={() => setWhole(!isWhole)}
        >
          {isWhole ? labels.less : labels.more}
        </button>
      )}
    </>
  );
}

/** Whether an element has more in it than it shows, or had before it was shown whole: its button keeps the focus. */
function useCut(element: { readonly current: HTMLElement | null }, isPossible: boolean, isWhole: boolean): boolean {
  const [isCut, setCut] = useState(false);
  useEffect(() => {
    const observed = element.current;
    if (!observed || !isPossible || isWhole || typeof ResizeObserver === "undefined") return;
    const observer = new ResizeObserver(() => setCut(observed.scrollHeight > observed.clientHeight + 1));
    observer.observe(observed);
    return () => observer.disconnect();
  }, [element, isPossible, isWhole]);
  return isPossible && isCut;
}
