import { cleanup } from "@testing-library/react";
import { afterEach, beforeEach, expect, vi } from "vitest";

/** The errors that React reports. */
export const complain = vi.spyOn(console, "error").mockImplementation(() => {});

beforeEach(() => {
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
  complain.mockClear();
});

afterEach(() => {
  cleanup();
  expect(complain.mock.calls).toEqual([]);
});
