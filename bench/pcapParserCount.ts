import { createRequire } from "node:module";

/*
 * What reading looks like with npm's pcap-parser and a Map with a text for each 5-tuple: IPv4 and IPv6 on Ethernet, both directions
 * together. The counterpart of count5.c, written as one would write it.
 */

interface PcapParser {
  on(event: "packetData", listener: (data: Buffer) => void): void;
  on(event: "end", listener: () => void): void;
  on(event: "error", listener: (error: Error) => void): void;
}

const { parse } = createRequire(import.meta.url)("pcap-parser") as { parse(path: string): PcapParser };
const counts = new Map<string, { packets: number; bytes: number }>();
let packets = 0;
let bytes = 0;
let other = 0;

/** The two-way 5-tuple as text, or undefined where the packet is not IP. */
function tupleOf(data: Buffer): string | undefined {
  let at = 12;
  while (data.readUInt16BE(at) === 0x8100) at += 4;
  const type = data.readUInt16BE(at);
  const ip = at + 2;
  if (type !== 0x0800 && type !== 0x86dd) return undefined;
  const [first, length, protocol, transport] =
    type === 0x0800 ? [ip + 12, 4, data[ip + 9], ip + (data[ip] & 15) * 4] : [ip + 8, 16, data[ip + 6], ip + 40];
  const ported = protocol === 6 || protocol === 17;
  const source = `${data.toString("hex", first, first + length)}:${ported ? data.readUInt16BE(transport) : 0}`;
  const target = `${data.toString("hex", first + length, first + 2 * length)}:${ported ? data.readUInt16BE(transport + 2) : 0}`;
  return source < target ? `${protocol} ${source} ${target}` : `${protocol} ${target} ${source}`;
}

const parser = parse(process.argv[2]);
parser.on("error", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
parser.on("packetData", (data) => {
  packets++;
  bytes += data.length;
  const tuple = tupleOf(data);
  if (tuple === undefined) {
    other++;
    return;
  }
  const count = counts.get(tuple);
  if (count === undefined) counts.set(tuple, { packets: 1, bytes: data.length });
  else {
    count.packets++;
    count.bytes += data.length;
  }
});
parser.on("end", () => process.stdout.write(`packets ${packets} bytes ${bytes} tuples ${counts.size} other ${other}\n`));
