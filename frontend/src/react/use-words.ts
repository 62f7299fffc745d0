"use client";
import { useEffect, useMemo, useState } from "react";
import { ENGLISH, type Labels, loadLabels } from "../display/index.js";

/**
 * The labels and the language: the requested one, or that of the page, or of the browser.
 *
 * English until the others are loaded; a page that cannot wait gives them as `labels`.
 */
export function useWords(asked: string | undefined, own: Partial<Labels> | undefined) {
  const [page, setPage] = useState<string | undefined>();
  const [loaded, setLoaded] = useState(ENGLISH);
  const locale = asked ?? page;
  useEffect(() => setPage(document.documentElement.lang || globalThis.navigator?.language), []);
  useEffect(() => {
    let isCurrent = true;
    loadLabels(locale ?? "en").then(
      (words) => isCurrent && setLoaded(words),
      () => {}, // the words of before: better than none
    );
    return () => {
      isCurrent = false;
    };
  }, [locale]);
  const labels = useMemo(() => ({ ...loaded, ...own }), [loaded, own]);
  return { labels, locale };
}
