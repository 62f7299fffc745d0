import { vi } from "vitest";

/** Let everything happen that waits for no time. */
export const settle = () => vi.advanceTimersByTimeAsync(0);

/** Let time pass. */
export const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);
