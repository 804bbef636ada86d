import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { dump } from "js-yaml";
import type { Conversation } from "./conversations.ts";
import { type Kind, Mix, type Shape } from "./mix.ts";
import { PcapWriter } from "./pcapWriter.ts";
import { makePolicies } from "./policies.ts";
import { Random } from "./random.ts";
import { makeSnapshot } from "./snapshot.ts";
import { startSeconds } from "./world.ts";

/*
 * Makes what the benchmarks read: `mixed.pcap` (1.03 GB as on a node), `small.pcap` (3 million small packets), a sample of the
 * first for slow peers, and a snapshot and policies that fit them. The same numbers give the same bytes on every machine.
 *
 *   node bench/makeCaptures.ts [--packets N] [--out FOLDER] [--force]
 */

/** Raise this when the captures change, so that old ones are made anew. */
const generation = 1;
export const mixedPackets = 1_450_000;
const smallPackets = 3_000_000;
export const samplePackets = 200_000;

export interface CapturePaths {
  readonly mixed: string;
  readonly small: string;
  readonly sample: string;
  readonly snapshot: string;
  readonly policies: string;
}

export interface CaptureOptions {
  /** Folder, made if it is missing. */
  readonly out: string;
  /** Packets of `mixed.pcap`; the others shrink with it. */
  readonly packets?: number;
  /** Make them even where they are there already. */
  readonly force?: boolean;
}

/** Returns the paths of the captures, after making whatever is not there yet. */
export function makeCaptures({ out, packets = mixedPackets, force = false }: CaptureOptions): CapturePaths {
  const paths = pathsIn(out);
  const stampPath = join(out, "captures.json");
  const stamp = JSON.stringify({ generation, packets });
  const present = Object.values(paths).every((path) => existsSync(path)) && existsSync(stampPath);
  if (!force && present && readFileSync(stampPath, "utf8") === stamp) return paths;
  const scale = packets / mixedPackets;
  mkdirSync(out, { recursive: true });
  rmSync(stampPath, { force: true });
  writeCapture(paths.mixed, mixedShape(packets, scale));
  writeCapture(paths.sample, mixedShape(Math.round(samplePackets * scale), scale));
  writeCapture(paths.small, smallShape(Math.round(smallPackets * scale), scale));
  writeFileSync(paths.snapshot, JSON.stringify(makeSnapshot(), null, 1) + "\n");
  writePolicies(paths.policies);
  writeFileSync(stampPath, stamp);
  return paths;
}

export function pathsIn(folder: string): CapturePaths {
  return {
    mixed: join(folder, "mixed.pcap"),
    small: join(folder, "small.pcap"),
    sample: join(folder, "sample.pcap"),
    snapshot: join(folder, "world.json"),
    policies: join(folder, "policies"),
  };
}

/** 710 bytes a packet in the file, about 60,000 5-tuples. A shorter one is not the start of a longer one, but like it. */
function mixedShape(packets: number, scale: number): Shape {
  return {
    packets,
    seed: 20_261_102,
    gapMicros: 400,
    kinds: {
      tcp: { share: 0.85, active: activeAt(500, scale) },
      dns: { share: 0.096, active: activeAt(40, scale) },
      udp: { share: 0.024, active: activeAt(40, scale) },
      other: { share: 0.03, active: activeAt(12, scale) },
    },
    frameLimit: 1518,
    ipv6: 0.033,
    vlan: 0.03,
    vxlan: 0.08,
    tcp: { exchanges: 10, request: [180, 20_000], answer: [1640, 2_000_000] },
  };
}

/** 104 bytes a packet in the file, about 300,000 5-tuples, ten times as many conversations at once. */
function smallShape(packets: number, scale: number): Shape {
  return {
    packets,
    seed: 20_261_103,
    gapMicros: 100,
    kinds: {
      tcp: { share: 0.7, active: activeAt(5000, scale) },
      dns: { share: 0.22, active: activeAt(400, scale) },
      udp: { share: 0.06, active: activeAt(200, scale) },
      other: { share: 0.02, active: activeAt(50, scale) },
    },
    frameLimit: 120,
    ipv6: 0.03,
    vlan: 0.02,
    vxlan: 0,
    tcp: { exchanges: 3, request: [32, 130], answer: [52, 220] },
  };
}

function activeAt(full: number, scale: number): number {
  return Math.max(3, Math.ceil(full * Math.min(1, scale)));
}

/** Takes the kind that is furthest behind its share, and lets one of its conversations send one to four packets. */
function writeCapture(path: string, shape: Shape): void {
  const random = new Random(shape.seed);
  const mix = new Mix(shape, random);
  const writer = new PcapWriter(path, startSeconds);
  const kinds = (Object.keys(shape.kinds) as Kind[]).map((kind) => {
    const { share, active } = shape.kinds[kind];
    const conversations: Conversation[] = Array.from({ length: active }, () => mix.begin(kind, true));
    return { kind, share, conversations, packets: 0 };
  });
  while (writer.packets < shape.packets) {
    const furthest = kinds.reduce((a, b) => (b.share * writer.packets - b.packets > a.share * writer.packets - a.packets ? b : a));
    const index = random.below(furthest.conversations.length);
    for (let burst = random.between(1, 4); burst > 0 && writer.packets < shape.packets; burst--) {
      writer.advance(random.below(2 * shape.gapMicros));
      furthest.packets++;
      if (!furthest.conversations[index].step(writer)) continue;
      furthest.conversations[index] = mix.begin(furthest.kind, false);
      break;
    }
  }
  writer.close();
}

function writePolicies(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const policy of makePolicies()) {
    const { namespace, name } = policy.metadata;
    writeFileSync(join(folder, `${namespace}-${name}.yaml`), dump(policy, { lineWidth: 130 }));
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { packets: { type: "string" }, out: { type: "string" }, force: { type: "boolean", default: false } },
  });
  const packets = values.packets === undefined ? mixedPackets : Number(values.packets);
  if (!Number.isInteger(packets) || packets < 1) {
    process.stderr.write(`makeCaptures: --packets must be a whole number above 0, not \`${values.packets}\`\n`);
    process.exit(2);
  }
  const begun = performance.now();
  const paths = makeCaptures({ out: values.out ?? join(import.meta.dirname, "build"), packets, force: values.force });
  for (const path of Object.values(paths)) process.stdout.write(`${path}\n`);
  process.stdout.write(`${((performance.now() - begun) / 1000).toFixed(1)} s\n`);
}
