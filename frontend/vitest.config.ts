import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const react = { environment: "jsdom", include: ["tests/react/*.test.tsx"], setupFiles: ["tests/react/setup.ts"] };

export default defineConfig({
  server: { host: "127.0.0.1" }, // a small root may not know "localhost"
  test: {
    testTimeout: 60_000, // the type checker, on a busy machine
    // A test that forgets an assertion or leaves a rejection behind has not passed.
    expect: { requireAssertions: true },
    projects: [
      { extends: true, test: { name: "units", include: ["tests/*.test.ts"] } },
      { extends: true, test: { name: "react-19", ...react } },
      {
        extends: true,
        test: { name: "react-18", ...react, server: { deps: { inline: ["@testing-library/react"] } } },
        resolve: {
          alias: {
            react: here("tests/react-18/node_modules/react"),
            "react-dom": here("tests/react-18/node_modules/react-dom"),
            // Its module form, since what it requires in the other one would still be the React next to it.
            "@testing-library/react": here("node_modules/@testing-library/react/dist/@testing-library/react.esm.js"),
          },
        },
      },
    ],
  },
});
