import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const config = ts.parseJsonConfigFileContent(
  ts.readConfigFile(here("../tsconfig.json"), ts.sys.readFile).config,
  ts.sys,
  here(".."),
);
const ENTRIES = [
  "index.ts",
  "inbox/index.ts",
  "push/index.ts",
  "react/index.ts",
  "testing/index.ts",
  "testing/react.tsx",
].map((path) => here(`../src/${path}`));

const PAGES = ["README.md", "MIGRATING.md", "../docs/bell.md", "../docs/reach.md"];

const program = ts.createProgram(ENTRIES, config.options);
const checker = program.getTypeChecker();

const EXPORTS = ENTRIES.flatMap((entry) => {
  const module = checker.getSymbolAtLocation(program.getSourceFile(entry) as ts.SourceFile) as ts.Symbol;
  const result = checker.getExportsOfModule(module);
  return result.map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol));
});

function typeOf(name: string): ts.Type {
  return checker.getDeclaredTypeOfSymbol(EXPORTS.find((symbol) => symbol.name === name) as ts.Symbol);
}

function undocumented(symbols: readonly ts.Symbol[]): string[] {
  return symbols.filter((symbol) => symbol.getDocumentationComment(checker).length === 0).map((symbol) => symbol.name);
}

test("every export is documented", () => {
  expect(EXPORTS.length).toBeGreaterThan(20);
  expect(undocumented(EXPORTS)).toEqual([]);
});

test.each(["StreamOptions", "NotificationStream", "Inbox", "InboxOptions", "InboxSnapshot", "FakeService"])(
  "every member of %s is documented",
  (name) => {
    const members = typeOf(name).getProperties();
    expect(members.length).toBeGreaterThan(0);
    // The members of Credentials are documented together.
    const delivered = new Set(
      typeOf("Credentials")
        .getProperties()
        .map((symbol) => symbol.name),
    );
    expect(undocumented(members).filter((member) => !delivered.has(member))).toEqual([]);
  },
);

test("every option and every state is in the README", () => {
  const readme = readFileSync(here("../README.md"), "utf8");
  const options = typeOf("StreamOptions").getProperties();
  const states = (typeOf("StreamState") as ts.UnionType).types.map((state) => {
    const status = checker.getTypeOfSymbol(state.getProperty("status") as ts.Symbol);
    return (status as ts.StringLiteralType).value;
  });
  const names = [...options.map((symbol) => symbol.name), ...states];
  expect(names.length).toBeGreaterThan(20);
  expect(names.filter((name) => !readme.includes(`\`${name}\``) && !readme.includes(`\`${name}: `))).toEqual([]);
});

test("the examples of the pages compile", () => {
  // Below the package, so that the types of what it depends on are found.
  const directory = mkdtempSync(here("../.examples-"));
  try {
    const files = PAGES.flatMap((page) => writeExamples(page, directory));
    expect(files.length).toBeGreaterThan(4);
    const examples = ts.createProgram(files, {
      ...config.options,
      noUnusedLocals: false,
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      paths: {
        shirase: [here("../src/index.ts")],
        "shirase/inbox": [here("../src/inbox/index.ts")],
        "shirase/push": [here("../src/push/index.ts")],
        "shirase/react": [here("../src/react/index.ts")],
        "shirase/react/preferences": [here("../src/react/preferences/index.ts")],
        "shirase/testing": [here("../src/testing/index.ts")],
        "shirase/testing/react": [here("../src/testing/react.tsx")],
      },
    });
    const problems = ts.getPreEmitDiagnostics(examples);
    expect(problems.map((problem) => ts.flattenDiagnosticMessageText(problem.messageText, "\n"))).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

function writeExamples(page: string, directory: string): string[] {
  const text = readFileSync(here(`../${page}`), "utf8");
  return [...text.matchAll(/^```(tsx?)\n(.*?)^```/gms)].map(([, kind, code], number) => {
    // The first one of a page is what the others may import as their own module.
    const name = number === 0 ? "notifications" : `example-${number}`;
    const file = join(directory, page.replaceAll("/", "_"), `${name}.${kind}`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, code ?? "");
    return file;
  });
}
