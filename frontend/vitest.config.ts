import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.{ts,tsx}"],
    // A test that forgets an assertion or leaves a rejection behind has not passed.
    expect: { requireAssertions: true },
  },
});
