// What bin/kubectl-kguardian and a packaged binary start: it loads the program's chunks (bundle.mjs), which lie beside it or in the binary
// as assets, as they are asked for. A single script of all would have to be parsed as a whole at each start (60 ms).
"use strict";
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { getRawAsset, isSea } = require("node:sea");
const { Script } = require("node:vm");
const { crc32 } = require("node:zlib");

// The launcher sees to Node's version: oclif need not.
process.env.OCLIF_DISABLE_ENGINE_WARNING = "1";

const read = isSea() ? (name) => Buffer.from(getRawAsset(name)) : (name) => readFileSync(join(__dirname, name));
const HEAD = '(function(exports,require,module,__filename,__dirname){"use strict";';
const SUM_BYTES = 4;
const loaded = new Map();
const scripts = new Map();

/** `require` of every chunk: another chunk by its relative path, or a module of Node. */
function load(id) {
  if (!id.startsWith("./")) return require(id);
  const known = loaded.get(id);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  // Chunks may ask for each other in a circle, as modules of files may.
  loaded.set(id, module);
  const name = id.slice(2);
  compile(name).runInThisContext()(module.exports, load, module, name, __dirname);
  if (module.exports.__esModule) module.exports = settled(module.exports);
  return module.exports;
}

/** Compiles a chunk, or takes what V8 kept of it (codeCache.mjs); V8 itself sees whether that is of the same V8 and flags. */
function compile(name) {
  const text = read(name);
  const packed = cacheOf(name);
  const options = { filename: name, columnOffset: -HEAD.length, cachedData: packed && unpacked(text, packed) };
  const script = new Script(`${HEAD}${text.latin1Slice()}\n})`, options);
  scripts.set(name, script);
  return script;
}

function cacheName(name) {
  return `${name}.${process.platform}-${process.arch}.cache`;
}

function cacheOf(name) {
  try {
    return read(cacheName(name));
  } catch {
    return undefined;
  }
}

/** A cache with the sum of itself and its source at its end: V8 looks at neither, and runs whatever it is given. */
function packedCache(name, cache) {
  const sum = Buffer.alloc(SUM_BYTES);
  sum.writeUInt32LE(crc32(cache, crc32(read(name))));
  return Buffer.concat([cache, sum]);
}

/** Returns the cache, or undefined where it is damaged or another source's. */
function unpacked(source, packed) {
  const end = packed.length - SUM_BYTES;
  if (end < 0) return undefined;
  const cache = packed.subarray(0, end);
  return crc32(cache, crc32(source)) === packed.readUInt32LE(end) ? cache : undefined;
}

/**
 * Exports as plain values. esbuild makes each a getter, since a module may change what it exports; asking getters cost a tenth of reading
 * a capture. Nothing here changes an export that has a value (bundle.mjs looks for it); what has none yet stays a getter.
 */
function settled(from) {
  const names = Object.keys(from);
  // In one go: V8 keeps what is put together name by name (or has no prototype) as a hash table, and each look into it is a call.
  const to = Object.fromEntries(names.map((name) => [name, from[name]]));
  for (const name of names) if (to[name] === undefined) Object.defineProperty(to, name, { enumerable: true, get: () => from[name] });
  return Object.defineProperty(to, "__esModule", { value: true });
}

function start() {
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
}

if (isSea() || require.main === module) start();
else module.exports = { cacheName, compile, load, packedCache, scripts };
