// The program as the assets of a binary: the chunks of a checkout's build, each turned from an ES module into the body of a CommonJS
// function, which is what a binary can load without files (loader.cjs).
import { basename } from "node:path";
import { build, transform } from "esbuild";
import { bundleOptions } from "../bundle.mjs";

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
  const chunks = await Promise.all(
    outputFiles.map(async ({ path, text }) => {
      // `import()` of a chunk becomes a promise of `require`: a binary has none of its own.
      const asFunction = { format: "cjs", minify: true, target: options.target, supported: { "dynamic-import": false }, platform: "node" };
      return [basename(path), (await transform(text, asFunction)).code];
    }),
  );
  return { chunks: new Map(chunks.sort(([a], [b]) => (a < b ? -1 : 1))), metafile };
}
