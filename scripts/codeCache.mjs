// V8's code caches of the program's chunks: what V8 made of the functions that typical calls run, so that a start need not make it again
// (`simulate` on a small capture: 125 ms in place of 190). V8 takes a cache only if it has the version and flags that it was made with.
// On one of another platform it may crash (https://nodejs.org/api/single-executable-applications.html): their names say for which they
// are. On a damaged one it does: the loader keeps a sum with each.
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const WARM_UP = fileURLToPath(new URL("warmUp.cjs", import.meta.url));

/**
 * Two builds must give the same bytes. The seed of hashes goes into the caches, and what V8 has thrown away since does not; gaps between
 * fields hold what lay in memory before, which is nothing as long as no garbage is collected (400 MB are used).
 */
const REPEATABLE = [
  "--single-threaded",
  "--hash-seed=1",
  "--no-flush-bytecode",
  "--min-semi-space-size=1024",
  "--max-semi-space-size=1024",
  "--initial-heap-size=4096",
];

/**
 * Writes the caches of a folder's chunks beside them. `node` is the Node that will run them, with `flags` if any. Throws if it would not
 * take them.
 */
export function addCodeCaches(node, folder, flags = []) {
  const path = resolve(folder);
  // No flag of ours changes what V8 makes of a function.
  const plain = run(node, [...flags, "-p", "new vm.Script('0').createCachedData().toString('hex')"]).trim();
  run(node, [...REPEATABLE, WARM_UP, "make", path, plain]);
  run(node, [...flags, WARM_UP, "check", path]);
}

function run(node, args) {
  // What the user has configured is not what others start with.
  const env = { PATH: process.env.PATH, HOME: "/nonexistent" };
  const { error, status, stdout, stderr } = spawnSync(node, args, { cwd: ROOT, env, encoding: "utf8", maxBuffer: 1 << 28 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(stderr.trim().split("\n").at(-1));
  return stdout;
}
