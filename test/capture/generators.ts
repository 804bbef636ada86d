import fc from "fast-check";
import { BASE, bytes, ethernet, ip4, ip6, type Recorded, tcp, u32, udp, vlan } from "./packets.ts";

/*
 * Random traffic: few addresses and ports, so that tuples meet again, and edges among them.
 */

const FOUR = ["10.0.0.1", "10.0.0.2", "0.0.0.0", "255.255.255.255", "128.0.0.1", "127.255.255.255"];
const SIX = ["fd00::1", "fd00::2", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "8000::1"];
const port = fc.constantFrom(0, 1, 53, 80, 443, 1023, 1024, 32768, 40000, 40001, 65535);
const flags = fc.constantFrom("S", "SA", "A", "PA", "FA", "R", "RA", "", "SF", "FPU");

interface Shape {
  readonly six: boolean;
  readonly source: number;
  readonly destination: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly flags: string | undefined;
  readonly seq: number;
  readonly length: number;
  readonly more: number;
  readonly step: number;
  readonly tagged: boolean;
}

const shape: fc.Arbitrary<Shape> = fc.record({
  six: fc.boolean(),
  source: fc.nat(4),
  destination: fc.nat(4),
  sourcePort: port,
  destinationPort: port,
  flags: fc.option(flags, { nil: undefined }),
  seq: fc.constantFrom(0, 1, 1000, 1001, 0x7fffffff, 0xffffffff),
  length: fc.constantFrom(0, 1, 7, 8, 100, 1400),
  more: fc.constantFrom(0, 0, 0, 1, 60000),
  step: fc.constantFrom(1, 10, 1000, 100_000, 1_500_000),
  tagged: fc.boolean(),
});

/** TCP and UDP over both families, each packet later than the one before, and none like another (its number is in its payload). */
export function traffic(most = 60): fc.Arbitrary<Recorded[]> {
  return fc.array(shape, { minLength: 1, maxLength: most }).map((shapes) => {
    let microseconds = 0;
    return shapes.map((one, i): Recorded => {
      microseconds += one.step;
      const data = bytes(u32(i * 0x01010101), u32(~i), new Uint8Array(one.length));
      const transport =
        one.flags === undefined
          ? udp(one.sourcePort, one.destinationPort, data)
          : tcp(one.sourcePort, one.destinationPort, one.flags, { seq: one.seq, ack: i, data });
      const packet = one.six
        ? ip6(SIX[one.source], SIX[one.destination], transport)
        : ip4(FOUR[one.source], FOUR[one.destination], transport);
      const frame = ethernet(one.tagged ? vlan(7, packet) : packet);
      const seconds = Math.floor(microseconds / 1e6);
      return { seconds: BASE + seconds, nanoseconds: (microseconds - seconds * 1e6) * 1000, frame, wire: frame.length + one.more };
    });
  });
}
