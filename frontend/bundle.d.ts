export const DEMO_ENTRIES: readonly string[];
export const DEMO_DIRECTORY: string;
export const OLDEST: readonly string[];
export function styles(more?: Partial<import("esbuild").BuildOptions>): Promise<string>;
export function elements(): Promise<string>;
export function bundle(entry?: string, more?: Partial<import("esbuild").BuildOptions>): Promise<string>;
