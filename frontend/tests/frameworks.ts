// Builds what docs/bell.md shows for Vue and Svelte, as their users' Vite does, and runs it in a page.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import vue from "@vitejs/plugin-vue";
import { JSDOM } from "jsdom";
import { build, type Rollup } from "vite";
import { createScriptedServer, type ScriptedServer } from "./scripted-server.js";

const BELL = readFileSync(fileURLToPath(new URL("../../docs/bell.md", import.meta.url)), "utf8");

const MAIN = {
  vue: `
    import { createApp } from "vue";
    import App from "./App.vue";
    const app = createApp(App, { user: "aiko" });
    app.config.globalProperties.$router = { push: (to) => { window.went = to; } };
    app.mount("#app");
  `,
  svelte: `
    import { mount } from "svelte";
    import App from "./App.svelte";
    mount(App, { target: document.getElementById("app") });
  `,
};

/** The application in `host`, which has the packed package installed, over a service with so many notifications. */
export async function runInPage(framework: keyof typeof MAIN, host: string, titles: string[]) {
  const [, code] = BELL.match(new RegExp(`\`\`\`${framework}\\n(.*?)\`\`\``, "s")) ?? [];
  writeFileSync(join(host, `App.${framework}`), code as string);
  const entry = join(host, `${framework}.js`);
  writeFileSync(entry, MAIN[framework]);
  const plugins = {
    vue: () => vue({ template: { compilerOptions: { isCustomElement: (tag) => tag.startsWith("shirase-") } } }),
    svelte: () => svelte({ configFile: false }),
  };
  const built = await build({
    root: host,
    configFile: false,
    logLevel: "error",
    plugins: [plugins[framework]()],
    define: { "process.env.NODE_ENV": '"production"' },
    build: { write: false, minify: false, lib: { entry, formats: ["iife"], name: "app" } },
  });
  const [{ output }] = built as [Rollup.RollupOutput];

  const server = createScriptedServer();
  for (const title of titles) server.create(title).url = `/${title}`;
  const { window } = new JSDOM('<div id="app"></div>', { url: "http://host.test/", runScripts: "outside-only" });
  Object.assign(window, { EventSource: server.EventSource, fetch: answer(server) });
  window.eval(output[0].code);
  return { window, bell: window.document.querySelector("shirase-bell") as HTMLElement };
}

/** The host's own backend at `/my-token`, and the service at every other address. */
function answer(server: ScriptedServer): typeof server.fetch {
  return async (url, init) => (url === "/my-token" ? new Response("a.test.token") : server.fetch(url, init));
}
