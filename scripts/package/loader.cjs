// What a packaged binary starts: it loads the program's chunks (program.mjs), which lie in the binary as assets, as they are asked for.
// A single script of all would have to be parsed as a whole at each start (60 ms); V8's code cache, which avoids that, exists for the
// building platform alone and differs from build to build.
"use strict";
const { getAsset } = require("node:sea");
const { compileFunction } = require("node:vm");

// oclif would look at Node's version with a library that takes 4 ms to load.
process.env.OCLIF_DISABLE_ENGINE_WARNING = "1";

const loaded = new Map();

/** `require` of every chunk: another chunk by its relative path, or a module of Node. */
function load(id) {
  if (!id.startsWith("./")) return require(id);
  const known = loaded.get(id);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  // Chunks may ask for each other in a circle, as modules of files may.
  loaded.set(id, module);
  const name = id.slice(2);
  const run = compileFunction(getAsset(name, "utf8"), ["exports", "require", "module", "__filename", "__dirname"], { filename: name });
  run(module.exports, load, module, __filename, __dirname);
  if (module.exports.__esModule) module.exports = settled(module.exports);
  return module.exports;
}

/**
 * Exports as plain values. esbuild makes each a getter, since a module may change what it exports; asking getters cost a tenth of reading
 * a capture. Nothing here changes an export that has a value (program.mjs looks for it); what has none yet stays a getter.
 */
function settled(from) {
  const to = Object.defineProperty({ __proto__: null }, "__esModule", { value: true });
  for (const name of Object.keys(from)) {
    const value = from[name];
    if (value === undefined) Object.defineProperty(to, name, { enumerable: true, get: () => from[name] });
    else to[name] = value;
  }
  return to;
}

let ended = false;
// As Node does for a module that waits for what never comes; without it such a run would end as if nothing had been found.
process.once("beforeExit", () => {
  if (ended) return;
  process.stderr.write("error: the program ended before its command did\n");
  process.exit(13);
});
load("./main.js")
  .main()
  .finally(() => {
    ended = true;
  });
