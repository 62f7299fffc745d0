import { ENGLISH, type Labels } from "./labels.js";

const LOADERS: Record<string, () => Promise<{ default: Labels }>> = {
  ar: () => import("./locales/ar.js"),
  de: () => import("./locales/de.js"),
  es: () => import("./locales/es.js"),
  fr: () => import("./locales/fr.js"),
  he: () => import("./locales/he.js"),
  hi: () => import("./locales/hi.js"),
  ja: () => import("./locales/ja.js"),
  ko: () => import("./locales/ko.js"),
  pt: () => import("./locales/pt.js"),
  zh: () => import("./locales/zh.js"),
};

/** The languages that the components speak beside English. */
export const LOCALES: readonly string[] = Object.keys(LOADERS);

/** The words of a language, such as `de` or `pt-BR`, loaded on demand; English for one that there is none of. */
export async function loadLabels(locale: string): Promise<Labels> {
  const language = locale.toLowerCase().split(/[-_]/)[0] ?? "";
  return Object.hasOwn(LOADERS, language) ? ((await LOADERS[language]?.())?.default ?? ENGLISH) : ENGLISH;
}
