export const DEMO_ENTRIES: readonly string[];
export const DEMO_DIRECTORY: string;
export const STYLES: string;
export function bundle(entry?: string, more?: Partial<import("esbuild").BuildOptions>): Promise<string>;
