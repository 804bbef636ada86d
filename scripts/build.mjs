// Bundles the program into dist/, which bin/kubectl-kguardian runs.
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { bundleOptions } from "./bundle.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
rmSync("dist", { recursive: true, force: true });
await build({
  ...bundleOptions(),
  entryPoints: { main: "bin/main.ts" },
  outdir: "dist",
  // CommonJS packages in an ESM bundle ask for require.
  banner: { js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);' },
});
