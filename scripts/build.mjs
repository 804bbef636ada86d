// Builds the program into dist/, which bin/kubectl-kguardian runs.
import { mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundleProgram, programNode, writeProgram } from "./bundle.mjs";
import { addCodeCaches } from "./codeCache.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const { chunks } = await bundleProgram();
rmSync("dist", { recursive: true, force: true });
mkdirSync("dist");
writeProgram(chunks, "dist");
try {
  addCodeCaches(programNode(), "dist");
} catch (error) {
  // The program is whole without it, and starts 60 ms later.
  console.warn(`no code cache: ${error.message}`);
}
