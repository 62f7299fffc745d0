import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.{ts,tsx}"],
    testTimeout: 60_000, // the type checker, on a busy machine
    // A test that forgets an assertion or leaves a rejection behind has not passed.
    expect: { requireAssertions: true },
  },
});
