const SAFE = new Set(["http:", "https:"]);

/**
 * The address that a payload asks to link to, if it is one that a browser may be sent to.
 *
 * What a producer wrote is not trusted: `javascript:`, `data:` and the like are no links. Relative addresses are.
 *
 * @returns the same address, or `undefined` if it is not an address or not safe.
 */
export function safeLink(address: unknown): string | undefined {
  if (typeof address !== "string" || address.trim() === "") return undefined;
  try {
    // Parsed as the browser will parse it, which drops tabs and line breaks: "java\nscript:" is javascript.
    return SAFE.has(new URL(address, "https://relative.invalid").protocol) ? address : undefined;
  } catch {
    return undefined;
  }
}
