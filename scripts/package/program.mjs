// The program as the assets of a binary: the chunks of a checkout's build, each turned from an ES module into the body of a CommonJS
// function, which is what a binary can load without files (loader.cjs).
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";
import { bundleOptions } from "../bundle.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** Names that modules export with a value that may change. Functions and constants do not. */
const CHANGING_EXPORT = /^export (?:let|var) /m;

/**
 * Returns the chunks (name to source text; the first to load is `main.js`), sorted by name, and esbuild's account of what went into
 * them.
 */
export async function bundleProgram() {
  const options = bundleOptions();
  const { outputFiles, metafile } = await build({
    ...options,
    entryPoints: { main: "bin/main.ts" },
    outdir: "packages",
    write: false,
    metafile: true,
    define: {
      ...options.define,
      // The loader calls `main`. A binary has no files beside it that a module could find by its own place.
      "import.meta.main": "false",
      "import.meta.dirname": "__dirname",
    },
  });
  refuseChangingExports(metafile);
  const chunks = await Promise.all(
    outputFiles.map(async ({ path, text }) => {
      // `import()` of a chunk becomes a promise of `require`: a binary has none of its own.
      const asFunction = { format: "cjs", minify: true, target: options.target, supported: { "dynamic-import": false }, platform: "node" };
      return [basename(path), (await transform(text, asFunction)).code];
    }),
  );
  return { chunks: new Map(chunks.sort(([a], [b]) => (a < b ? -1 : 1))), metafile };
}

/** The loader keeps the values of exports: a module whose exports change would not be seen to. */
function refuseChangingExports(metafile) {
  // Other inputs than files have a prefix (`unused:…`).
  const files = Object.keys(metafile.inputs).filter((path) => !/^[<\w-]+:/.test(path));
  const changing = files.find((path) => CHANGING_EXPORT.test(readFileSync(join(root, path), "utf8")));
  if (changing !== undefined) throw new Error(`${changing} exports a variable, which a package's loader takes for a constant`);
}
