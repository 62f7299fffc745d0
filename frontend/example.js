// Builds the React example against the packed package, as a user would install it: `node example.js OUT [SERVICE]`.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const copy = `${here}.example`; // below this directory, so that all but the package itself is found in node_modules
const [out, service = ""] = process.argv.slice(2);

const run = (command, ...args) =>
  execFileSync(command, args, {
    cwd: copy,
    // React's development build, where Strict Mode works.
    env: { ...process.env, NODE_ENV: "development", VITE_SHIRASE_URL: service },
    stdio: ["ignore", "pipe", "inherit"],
  });

rmSync(copy, { recursive: true, force: true });
cpSync(`${here}examples/react-vite`, copy, { recursive: true });
mkdirSync(`${copy}/node_modules/shirase`, { recursive: true });
run("npm", "pack", here, "--silent");
const packed = readdirSync(copy).find((name) => name.endsWith(".tgz"));
run("tar", "-xzf", packed, "-C", "node_modules/shirase", "--strip-components=1");
run(`${here}node_modules/.bin/tsc`);
run(`${here}node_modules/.bin/vite`, "build", "--mode", "development", "--base", "./", "--outDir", out);
