// Builds the program into dist/, which bin/kubectl-kguardian runs.
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleProgram, programNode } from "./bundle.mjs";
import { LOADER, makeCodeCaches } from "./codeCache.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const { chunks } = await bundleProgram();
rmSync("dist", { recursive: true, force: true });
mkdirSync("dist");
for (const [name, text] of chunks) writeFileSync(join("dist", name), text);
// Last: the launcher runs the sources until it is there.
copyFileSync(LOADER, join("dist", "loader.cjs"));
try {
  for (const [name, cache] of makeCodeCaches(programNode(), "dist")) writeFileSync(join("dist", name), cache);
} catch (error) {
  // The program is whole without it, and starts 60 ms later.
  console.warn(`no code cache: ${error.message}`);
}
