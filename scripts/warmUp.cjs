// warmUp.cjs make FOLDER PLAIN: runs typical calls of the chunks in FOLDER and writes the code cache of every chunk beside it, for the flags
// that the cache PLAIN (hexadecimal) was made with.
// warmUp.cjs check FOLDER: fails unless V8 takes the caches there. Both are started by codeCache.mjs.
"use strict";
const { readdirSync, writeFileSync } = require("node:fs");
const { join, resolve } = require("node:path");

const [task, path, plain] = process.argv.slice(2);
const folder = resolve(path);
const { cacheName, compile, load, packedCache, scripts } = require(join(folder, "loader.cjs"));

const shop = "fixtures/shop";
const snapshot = ["--snapshot", `${shop}/cluster.yaml`];
const observed = ["--pcap", `${shop}/monday.pcapng`, ...snapshot];
const policies = `${shop}/network-policies`;
const CALLS = [
  ["version"],
  ["--help"],
  ["simulate", "--help"],
  ["simulate", ...observed, "-f", policies],
  ["simulate", ...observed, "-f", policies, "-o", "json"],
  ["gen", "networkpolicy", "-A", ...observed],
  ["diff", policies, `${shop}/network-policies-fixed`, ...observed],
  ["diff", policies, `${shop}/network-policies-fixed`, ...snapshot, "-o", "json"],
  ["matrix", "-f", policies, ...snapshot],
  ["matrix", "-f", policies, ...snapshot, "-o", "json"],
  ["coverage", "-f", policies, ...observed],
  ["explain", "shop/deploy/web", "shop/deploy/orders", "-f", policies, ...snapshot],
  ["test", "fixtures/policy-tests/three-tiers/test.yaml"],
  ["synth", ...snapshot, "--simulate"],
];

/**
 * Where a cache keeps the hash of V8's flags (code-serializer.h, SerializedCodeData: after magic number, version and source hash, of
 * four bytes each).
 */
const FLAG_HASH = { at: 12, end: 16 };

async function make() {
  const plainCache = Buffer.from(plain, "hex");
  for (const call of CALLS) {
    process.argv = [process.execPath, "kubectl-kguardian", ...call];
    process.exitCode = 0;
    await load("./main.js").main();
    if (process.exitCode > 1) throw new Error(`\`${call.join(" ")}\` ended with ${process.exitCode}`);
  }
  for (const name of chunks()) {
    load(`./${name}`);
    const cache = scripts.get(name).createCachedData();
    plainCache.copy(cache, FLAG_HASH.at, FLAG_HASH.at, FLAG_HASH.end);
    writeFileSync(join(folder, cacheName(name)), packedCache(name, cache));
  }
}

/** Fails unless V8 takes the caches. */
function check() {
  for (const name of chunks()) {
    if (compile(name).cachedDataRejected !== false) throw new Error(`V8 refuses the cache of ${name}`);
  }
}

function chunks() {
  return readdirSync(folder).filter((name) => name.endsWith(".js"));
}

(async () => (task === "make" ? make() : check()))().then(
  () => process.exit(0),
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
