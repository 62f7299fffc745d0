/** Joins class names into one attribute, and omits empty ones. */
export function classNames(...names: (string | undefined)[]): string {
  return names.filter(Boolean).join(" ");
}
