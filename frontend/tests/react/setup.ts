import { cleanup } from "@testing-library/react";
import { afterEach, beforeEach, expect, vi } from "vitest";

/** What React has to say about a mistake. */
export const complain = vi.spyOn(console, "error").mockImplementation(() => {});

beforeEach(() => {
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
  complain.mockClear();
});

afterEach(() => {
  cleanup();
  expect(complain.mock.calls).toEqual([]);
});
