import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { test } from "vitest";
import { fuzz, readLog } from "./harness.ts";

const odd = fc.oneof(fc.jsonValue(), fc.constantFrom(-1, 0, 65535, 65536, 1e308, 0.5, "", "__proto__", "\u0000"));
const mostly = <T>(good: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 8, arbitrary: good as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: odd });
const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom("10.0.0.1", "10.0.0.2", "::", "::ffff:10.0.0.1"));
const count = fc.constantFrom(0, 1, 1500, 0xffffffff);
const recordLine = fc
  .record(
    {
      time: mostly(fc.date({ noInvalidDate: true }).map((date) => date.toISOString())),
      srcIp: mostly(address),
      dstIp: mostly(address),
      srcPort: mostly(fc.nat(65535)),
      dstPort: mostly(fc.nat(65535)),
      protocol: mostly(fc.oneof(fc.constantFrom("TCP", "udp", "SCTP", "ICMP", "ICMPv6", "50"), fc.nat(255))),
      icmpType: mostly(fc.nat(255)),
      icmpCode: mostly(fc.nat(255)),
      packets: mostly(count),
      bytes: mostly(count),
      verdict: mostly(fc.constantFrom("allow", "deny", "drop")),
      srcPod: mostly(fc.constantFrom("shop/web", "shop/api")),
      dstLabels: mostly(fc.array(fc.string(), { maxLength: 3 })),
      dstNames: mostly(fc.array(fc.domain(), { maxLength: 3 })),
      l7: mostly(fc.constant({ http: { method: "GET", path: "/" } })),
    },
    { requiredKeys: ["srcIp", "dstIp", "protocol"] },
  )
  .map((value) => JSON.stringify(value));
const line = fc.oneof({ weight: 6, arbitrary: recordLine }, fc.json(), fc.string(), fc.string({ unit: "binary" }));

test("records of any lines", async () => {
  await fuzz(4, fc.tuple(fc.array(line, { maxLength: 20 }), fc.constantFrom("\n", "\r\n", "\n\n")), ([lines, end]) =>
    readLog(lines.join(end)),
  );
});

test("records of any bytes, compressed and cut", async () => {
  const cut = fc.double({ min: 0.1, max: 1, noNaN: true });
  await fuzz(4, fc.tuple(fc.uint8Array({ maxLength: 3000 }), fc.boolean(), cut), ([data, packed, part]) => {
    const file = packed ? gzipSync(data) : data;
    const kept = file.subarray(0, Math.ceil(file.length * part));
    return packed ? readLogAnyway(kept) : readLog(kept);
  });
});

/** Of compressed text, the number of lines is not to be seen from outside. */
async function readLogAnyway(file: Uint8Array): Promise<void> {
  const { replayRecords } = await import("../capture/replay.ts");
  await replayRecords(file);
}
