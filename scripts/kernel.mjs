// Compiles the kernel (src/kernel, AssemblyScript) to WebAssembly and writes it as text into a module, since a binary has no files beside
// it: src/flow/kernelCode.ts. Does nothing where that was made from these very sources.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const sources = join(root, "src/kernel");
const target = join(root, "src/flow/kernelCode.ts");
/** Every processor and Node that the program runs on has these features. Memory can grow to all that 32 bits address. */
const OPTIONS = [
  ["--runtime", "stub"],
  ["--optimizeLevel", "3"],
  ["--shrinkLevel", "0"],
  ["--converge"],
  ["--noAssert"],
  ["--uncheckedBehavior", "always"],
  ["--importMemory"],
  ["--sharedMemory"],
  ["--maximumMemory", "65536"],
  ["--enable", "threads,bulk-memory,sign-extension,nontrapping-f2i"],
].flat();

/** Builds the kernel where it is not built. Throws with the compiler's messages. */
export async function buildKernel() {
  const hash = createHash("sha256").update(OPTIONS.join(" "));
  hash.update(readFileSync(join(root, "node_modules/assemblyscript/package.json")));
  for (const name of readdirSync(sources).sort()) hash.update(name).update(readFileSync(join(sources, name)));
  const head = `// Made by scripts/kernel.mjs from src/kernel (${hash.digest("hex").slice(0, 16)}). Not to be edited.\n`;
  if (existsSync(target) && readFileSync(target, "utf8").startsWith(head)) return;
  const { main } = await import("assemblyscript/asc");
  let code;
  const { error, stderr } = await main(["index.ts", "--baseDir", sources, "--outFile", "kernel.wasm", ...OPTIONS], {
    writeFile: (_name, contents) => {
      code = contents;
    },
  });
  if (error !== null) throw new Error(`the kernel does not compile:\n${stderr.toString()}`);
  // In one step: another process may be reading it.
  const draft = `${target}.${process.pid}`;
  writeFileSync(draft, `${head}export const KERNEL_CODE =\n  "${Buffer.from(code).toString("base64")}";\n`);
  renameSync(draft, target);
}

/** For vitest: tests run the sources. */
export const setup = buildKernel;

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildKernel();
