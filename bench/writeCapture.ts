import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { readManifest } from "../src/cluster/manifest.ts";
import { readCluster } from "../src/cluster/snapshot.ts";
import { CaptureWriter } from "../src/synth/captureWriter.ts";
import type { Conversation } from "../src/synth/conversation.ts";
import { measure } from "../src/synth/measure.ts";
import { PROFILE_KIND, PROFILE_VERSION, type ProfileSpec } from "../src/synth/profile.ts";
import { type Measured, prepareTraffic } from "../src/synth/traffic.ts";

/*
 * For `npm run bench synth`: writes a synthetic capture of about so many bytes, or as many bytes of nothing, or measures
 * conversations only. Prints one line of counts.
 *
 *   node bench/writeCapture.ts FILE MEGABYTES capture|plain|measure SNAPSHOT
 */

/** Several kinds of exchange in both families, a few on each connection; sizes as those of real transfers, few of them large. */
const MIXED: ProfileSpec = {
  duration: "24h",
  rate: 1000,
  families: { IPv4: 80, IPv6: 20 },
  calls: (["http", "http2", "tls", "bytes"] as const).map((kind) => ({
    from: { external: {} },
    to: { pods: {} },
    protocol: "TCP",
    exchange: {
      kind,
      request: { median: 400, sigma: 1.5 },
      response: { median: 3000, sigma: 2 },
      count: { median: 2, sigma: 0.7 },
      pause: { median: "50ms", sigma: 1 },
    },
    endings: { finished: 70, reset: 10, open: 10, refused: 5, unanswered: 5 },
  })),
};

function conversations(path: string): Iterator<Measured> {
  const cluster = readCluster(readManifest(readFileSync(path, "utf8"), path));
  const profile = { apiVersion: PROFILE_VERSION, kind: PROFILE_KIND, metadata: { name: "mixed" }, spec: MIXED } as const;
  const traffic = prepareTraffic(cluster, profile, { seed: 1, startSeconds: 1_794_816_000 });
  if ("isEmpty" in traffic) throw new Error("no traffic in the shop");
  return traffic.conversations()[Symbol.iterator]();
}

const [path, megabytes, mode, snapshot] = process.argv.slice(2);
if (!(Number(megabytes) > 0) || !["capture", "plain", "measure"].includes(mode)) {
  process.stderr.write("usage: writeCapture FILE MEGABYTES capture|plain|measure SNAPSHOT\n");
  process.exit(2);
}
const most = Number(megabytes) * 1e6;
const begun = performance.now();
const perSecond = (bytes: number) => `${Math.round(bytes / 1000 / (performance.now() - begun))} MB/s`;

if (mode === "measure") {
  const source = conversations(snapshot);
  let packets = 0;
  let millis = 0;
  // A thousand at a time, so that their making does not count.
  for (let batch = 0; batch < 200; batch++) {
    const some = Array.from({ length: 1000 }, () => source.next().value.conversation as Conversation);
    const from = performance.now();
    for (const conversation of some) packets += measure(conversation).packets;
    millis += performance.now() - from;
  }
  process.stdout.write(`packets ${packets}, ${((millis * 1000) / 200_000).toFixed(2)} µs a conversation\n`);
} else {
  const file = openSync(path, "w");
  let written = 0;
  const write = (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    written += bytes.length;
  };
  if (mode === "plain") {
    const chunk = new Uint8Array(1 << 20).fill(0x6b);
    while (written < most) write(chunk);
    process.stdout.write(`bytes ${written}, ${perSecond(written)}\n`);
  } else {
    const writer = new CaptureWriter(write);
    let count = 0;
    const source = conversations(snapshot);
    for (let next = source.next(); written < most && next.done !== true; next = source.next()) {
      writer.add(next.value.conversation);
      count++;
    }
    writer.finish();
    process.stdout.write(`bytes ${written}, packets ${writer.packets}, conversations ${count}, ${perSecond(written)}\n`);
  }
  closeSync(file);
}
