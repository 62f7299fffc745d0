// A button holds the name of an operation, and no link may lie in a button; the address still follows what is opened.
const linksAreText = () => ({ components: { DeepLink: ({ text }) => text } });

// The requests go where the page came from, also under another name of the host. One server is no choice.
const onThisHost = () => ({
  statePlugins: {
    spec: {
      wrapActions: {
        updateJsonSpec: (update) => (spec) => {
          const paths = spec.servers?.map(({ url }) => ({ url: new URL(url).pathname }));
          return update(paths ? { ...spec, servers: paths } : spec);
        },
      },
    },
  },
  wrapComponents: { ServersContainer: () => () => null },
});

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#api",
  deepLinking: true,
  validatorUrl: null,
  plugins: [linksAreText, onThisHost],
});

// Light or dark as the reader's system.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// What Swagger UI leaves without a name or out of the keyboard's reach.
const textIn = (element, around, within) => element.closest(around)?.querySelector(within)?.textContent ?? "";
const answersOf = (element) => {
  const [method, path] = ["method", "path"].map((part) => textIn(element, ".opblock", `.opblock-summary-${part}`));
  return `${element.matches(".live-responses-table") ? "Answer to" : "Answers to"} ${method} ${path}`;
};
const COMPLETE = [
  [".information-container", { role: "region", "aria-label": () => "About this API" }],
  [".dialog-ux", { role: "dialog", "aria-modal": "true", "aria-label": () => "Available authorizations" }],
  [".close-modal", { "aria-label": () => "Close" }],
  [".modal-btn[aria-label]", { "aria-label": (element) => element.textContent }],
  [".body-param__text", { "aria-label": () => "Request body" }],
  [".parameters select", { "aria-label": (element) => textIn(element, "tr", ".parameter__name") }],
  [".responses-table", { "aria-label": answersOf }],
  ["pre", { tabindex: "0" }],
];

function complete() {
  // The token, which comes first: Swagger UI gives the focus to the last field.
  document.querySelector(".dialog-ux:not([role]) input")?.focus();
  for (const [selector, attributes] of COMPLETE) {
    for (const element of document.querySelectorAll(selector)) {
      for (const [name, value] of Object.entries(attributes)) {
        const text = typeof value === "string" ? value : value(element);
        if (element.getAttribute(name) !== text) element.setAttribute(name, text);
      }
    }
  }
}

new MutationObserver(complete).observe(document.getElementById("api"), { childList: true, subtree: true });
