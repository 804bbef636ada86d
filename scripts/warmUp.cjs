// warmUp.cjs make FOLDER OUT: runs typical calls of the chunks in FOLDER and writes the code cache of every chunk to OUT.
// warmUp.cjs check FOLDER CACHES: fails unless V8 takes the caches in CACHES. Both are started by codeCache.mjs.
"use strict";
const { readdirSync, readFileSync, writeFileSync } = require("node:fs");
const { join, resolve } = require("node:path");

const [task, folder, caches] = process.argv.slice(2).map((arg, i) => (i === 0 ? arg : resolve(arg)));
const { cacheName, compile, load, scripts } = require(join(folder, "loader.cjs"));

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

async function make() {
  for (const call of CALLS) {
    process.argv = [process.execPath, "kubectl-kguardian", ...call];
    process.exitCode = 0;
    await load("./main.js").main();
    if (process.exitCode > 1) throw new Error(`\`${call.join(" ")}\` ended with ${process.exitCode}`);
  }
  for (const name of chunks()) {
    load(`./${name}`);
    writeFileSync(join(caches, cacheName(name)), scripts.get(name).createCachedData());
  }
}

/** Fails unless V8 takes the caches. */
function check() {
  for (const name of chunks()) {
    const { cachedDataRejected } = compile(name, readFileSync(join(caches, cacheName(name))));
    if (cachedDataRejected !== false) throw new Error(`V8 refuses the cache of ${name}`);
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
