// Holds the sources against the layout in ARCHITECTURE.md: imports point down only, no cycles, each outside package only where
// it belongs. Prints every breach; exits with 1 when there is one.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** All that is no command line. */
const LIBRARY = [
  "src/report",
  "src/live",
  "src/synth",
  "src/generate",
  "src/evaluate",
  "src/policy",
  "src/capture",
  "src/cluster",
  "src/flow",
  "src/net",
  "src/kernel",
];

/** What each folder may import besides itself. */
const BELOW = {
  // AssemblyScript. The program imports its numbers only.
  "src/kernel": [],
  "src/net": ["src/kernel"],
  "src/flow": ["src/net", "src/kernel"],
  "src/cluster": ["src/net"],
  "src/capture": ["src/flow", "src/net", "src/kernel"],
  "src/policy": ["src/cluster", "src/net"],
  "src/evaluate": ["src/policy", "src/cluster", "src/flow", "src/net"],
  "src/generate": ["src/evaluate", "src/policy", "src/cluster", "src/flow", "src/net"],
  "src/synth": ["src/generate", "src/evaluate", "src/policy", "src/capture", "src/cluster", "src/flow", "src/net"],
  "src/live": ["src/policy", "src/cluster", "src/flow", "src/net"],
  "src/report": [
    "src/synth",
    "src/generate",
    "src/evaluate",
    "src/policy",
    "src/capture",
    "src/cluster",
    "src/flow",
    "src/net",
    "src/kernel",
  ],
  "src/cli": LIBRARY,
  commands: ["src/cli", ...LIBRARY.filter((folder) => folder !== "src/live")],
  bin: ["commands", "src/cli"],
};

/** Packages and the folders that may import them. */
const PACKAGES = {
  "@oclif/core": ["src/cli", "commands"],
  diff: ["src/report"],
  hyparquet: ["src/capture"],
  "ipaddr.js": ["src/net"],
  "js-yaml": ["src/cluster", "src/policy", "src/synth", "src/report", "src/cli"],
  re2js: ["src/policy"],
  picocolors: ["src/cli"],
  "cli-progress": ["src/cli"],
  "@kubernetes/client-node": ["src/live"],
};

/** Folders that touch no file, network or process: they get and give data. */
const PURE = ["src/kernel", "src/net", "src/flow", "src/policy", "src/evaluate", "src/generate", "src/synth", "src/report"];
const INPUT_OUTPUT = /^node:(fs|net|http|https|child_process|dns|stream|process)/;

function* sourcesIn(folder) {
  for (const name of readdirSync(join(root, folder)).sort()) {
    const path = join(folder, name);
    if (statSync(join(root, path)).isDirectory()) yield* sourcesIn(path);
    else if (name.endsWith(".ts")) yield path;
  }
}

const folderOf = (path) => Object.keys(BELOW).find((folder) => path.startsWith(`${folder}/`));
const IMPORT = /(?:^|\n)\s*(import|export)\s(type\s)?[^;]*?from\s+"([^"]+)"|import\(\s*"([^"]+)"\s*\)/g;

const breaches = [];
const graph = new Map();
for (const folder of ["src", "commands", "bin"]) {
  for (const path of sourcesIn(folder)) {
    const own = folderOf(path);
    if (own === undefined) {
      breaches.push(`${path}: lies in no folder of the layout`);
      continue;
    }
    const text = readFileSync(join(root, path), "utf8");
    const edges = [];
    for (const [, , typeOnly, from, dynamic] of text.matchAll(IMPORT)) {
      const target = from ?? dynamic;
      if (target.startsWith(".")) {
        const file = relative(root, resolve(root, dirname(path), target));
        const other = folderOf(file);
        if (other !== own && !BELOW[own].includes(other)) breaches.push(`${path}: may not import ${file}`);
        if (!typeOnly && dynamic === undefined) edges.push(file);
      } else if (target.startsWith("node:")) {
        if (PURE.includes(own) && INPUT_OUTPUT.test(target)) breaches.push(`${path}: ${own} does no input or output, so no ${target}`);
      } else {
        const name = target
          .split("/")
          .slice(0, target.startsWith("@") ? 2 : 1)
          .join("/");
        if (!PACKAGES[name]?.includes(own)) breaches.push(`${path}: the package ${name} does not belong into ${own}`);
      }
    }
    graph.set(path, edges);
  }
}

/** Finds a cycle of imports by depth-first search; type imports vanish in the program and do not count. */
const state = new Map();
function visit(path, trail) {
  if (state.get(path) === "done") return;
  if (state.get(path) === "open") {
    breaches.push(`import cycle: ${[...trail.slice(trail.indexOf(path)), path].join(" -> ")}`);
    return;
  }
  state.set(path, "open");
  for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
  state.set(path, "done");
}
for (const path of graph.keys()) visit(path, []);

for (const breach of breaches) console.error(breach);
console.log(`${graph.size} sources, ${breaches.length} breaches of the layout`);
process.exit(breaches.length > 0 ? 1 : 0);
