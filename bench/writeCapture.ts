import { closeSync, openSync, writeSync } from "node:fs";
import { addressFromIPv4, addressFromWords } from "../src/net/address.ts";
import { TCP, UDP } from "../src/net/protocol.ts";
import { CaptureWriter } from "../src/synth/captureWriter.ts";
import type { Conversation, Exchange } from "../src/synth/conversation.ts";
import { measure } from "../src/synth/measure.ts";
import { Random } from "./random.ts";

/*
 * For `npm run bench synth`: writes a synthetic capture of about so many bytes, or as many bytes of nothing, or measures
 * conversations only. Prints one line of counts.
 *
 *   node bench/writeCapture.ts FILE MEGABYTES capture|plain|measure
 */

const START = 1_790_000_000_000_000;
const ENDINGS = ["finished", "finished", "finished", "finished", "finished", "finished", "reset", "open", "refused", "unanswered"] as const;

/** Several kinds of exchange, a few on each connection; sizes as those of real transfers, few of them large. */
function* conversations(): Generator<Conversation> {
  const random = new Random(1);
  for (let start = START, number = 0; ; number++, start += random.below(2000)) {
    const kind = random.pick(["http", "http", "http", "http2", "tls", "tls", "dns", "dns", "bytes"] as const);
    const isFour = random.chance(0.8);
    const ending = random.pick(ENDINGS);
    const isSpoken = ending !== "refused" && ending !== "unanswered";
    const host = `service-${random.below(200)}.shop.svc.cluster.local`;
    yield {
      start,
      client: isFour ? addressFromIPv4(0x0af40000 + random.below(5000)) : addressFromWords(0xfd000000, 0, 0, random.below(5000)),
      clientPort: 32_768 + (number % 28_000),
      server: isFour ? addressFromIPv4(0x0af50000 + random.below(5000)) : addressFromWords(0xfd000001, 0, 0, random.below(5000)),
      serverPort: { http: 8080, http2: 9000, tls: 443, dns: 53, bytes: 5432 }[kind],
      protocol: kind === "dns" ? UDP : TCP,
      roundTrip: random.between(100, 3000),
      exchanges: isSpoken ? Array.from({ length: random.between(1, 5) }, () => exchange(kind, host, random)) : [],
      pause: random.between(100, 200_000),
      ending,
      entropy: random.below(2 ** 32),
    };
  }
}

function exchange(kind: Exchange["kind"], host: string, random: Random): Exchange {
  const request = random.chance(0.4) ? random.heavyTail(200, 1e6) : 0;
  const response = random.heavyTail(400, 1e7);
  if (kind === "dns")
    return { kind, name: host, type: "A", answers: [addressFromIPv4(random.below(2 ** 32))], missing: random.chance(0.1) };
  if (kind === "tls") return { kind, serverName: host, request, response };
  if (kind === "bytes") return { kind, request, response };
  return { kind, method: request > 0 ? "POST" : "GET", path: `/orders/${random.below(10_000)}`, host, request, status: 200, response };
}

const [path, megabytes, mode] = process.argv.slice(2);
if (!(Number(megabytes) > 0) || !["capture", "plain", "measure"].includes(mode)) {
  process.stderr.write("usage: writeCapture FILE MEGABYTES capture|plain|measure\n");
  process.exit(2);
}
const most = Number(megabytes) * 1e6;
const begun = performance.now();
const perSecond = (bytes: number) => `${Math.round(bytes / 1000 / (performance.now() - begun))} MB/s`;

if (mode === "measure") {
  const source = conversations();
  let packets = 0;
  let millis = 0;
  // A thousand at a time, so that their making does not count.
  for (let batch = 0; batch < 200; batch++) {
    const some = Array.from({ length: 1000 }, () => source.next().value as Conversation);
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
    for (const conversation of conversations()) {
      if (written >= most) break;
      writer.add(conversation);
      count++;
    }
    writer.finish();
    process.stdout.write(`bytes ${written}, packets ${writer.packets}, conversations ${count}, ${perSecond(written)}\n`);
  }
  closeSync(file);
}
