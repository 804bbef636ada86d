import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, test } from "vitest";
import { traffic } from "../capture/generators.ts";
import { bytes, ethernet, PcapngBlocks, pcap, pcapng, record, sll, sll2, u16 } from "../capture/packets.ts";
import { fuzz, readCapture } from "./harness.ts";

const FOLDER = fileURLToPath(new URL("../../../shared/captures/pcap/", import.meta.url));
const fixtures: Uint8Array[] = existsSync(FOLDER)
  ? readdirSync(FOLDER)
      .filter((name) => /\.(pcap|pcapng|gz|zst)$/.test(name) && statSync(FOLDER + name).size < 300_000)
      .map((name) => new Uint8Array(readFileSync(FOLDER + name)))
  : [];

/** Changes to a file: what damaged disks, cut copies and attackers make of it. `at` is a part of its length. */
type Change =
  | { readonly kind: "flip"; readonly at: number; readonly bit: number }
  | { readonly kind: "word"; readonly at: number; readonly value: number }
  | { readonly kind: "half"; readonly at: number; readonly value: number }
  | { readonly kind: "cut"; readonly at: number }
  | { readonly kind: "remove" | "repeat"; readonly at: number; readonly length: number };

const at = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const extreme = fc.constantFrom(0, 1, 7, 0x7f, 0xff, 0x7fff, 0xffff, 262144, 262145, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff);
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant("flip" as const), at, bit: fc.nat(7) }),
  fc.record({ kind: fc.constant("word" as const), at, value: extreme }),
  fc.record({ kind: fc.constant("half" as const), at, value: extreme }),
  fc.record({ kind: fc.constant("cut" as const), at }),
  fc.record({ kind: fc.constantFrom("remove" as const, "repeat" as const), at, length: fc.constantFrom(1, 4, 16, 32, 100, 1000) }),
);

function apply(file: Uint8Array, changes: readonly Change[]): Uint8Array {
  let copy: Uint8Array = file.slice();
  for (const one of changes) {
    if (copy.length < 8) return copy;
    // Half of the changes go to the first kilobyte, where the headers are.
    const where = Math.floor(one.at < 0.5 ? one.at * 2 * Math.min(1024, copy.length - 4) : (one.at - 0.5) * 2 * (copy.length - 4));
    const view = new DataView(copy.buffer, copy.byteOffset, copy.byteLength);
    if (one.kind === "flip") copy[where] ^= 1 << one.bit;
    else if (one.kind === "word") view.setUint32(where, one.value, where % 2 === 0);
    else if (one.kind === "half") view.setUint16(where, one.value & 0xffff, where % 2 === 0);
    else if (one.kind === "cut") copy = copy.slice(0, where);
    else if (one.kind === "remove") copy = bytes(copy.subarray(0, where), copy.subarray(where + one.length));
    else copy = bytes(copy.subarray(0, where + one.length), copy.subarray(where));
  }
  return copy;
}

/** pcapng blocks, each begun and ended well, with arbitrary content: damage that only a block's own reader can see. */
const block = fc.record({ type: fc.constantFrom(1, 2, 3, 4, 5, 6, 10, 0xbad, 0x0a0d0d0a), content: fc.uint8Array({ maxLength: 80 }) });
const payload = fc.uint8Array({ maxLength: 120 });

describe("captures of any bytes", () => {
  test("arbitrary bytes, with and without a capture's first words", async () => {
    const heads = [
      bytes(),
      pcap([]),
      pcap([], { big: true, nano: true }),
      bytes(new PcapngBlocks().section(), new PcapngBlocks().interface()),
      bytes(0x1f, 0x8b, 8),
      bytes(0x28, 0xb5, 0x2f, 0xfd),
    ];
    await fuzz(7, fc.tuple(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 2000 })), async ([head, rest]) => {
      await readCapture(bytes(head, rest));
    });
  });

  test("arbitrary frames of every link type", async () => {
    const links = fc.constantFrom(0, 1, 12, 14, 101, 108, 113, 228, 229, 276);
    await fuzz(8, fc.tuple(links, fc.array(payload, { maxLength: 30 })), async ([link, frames]) => {
      await readCapture(
        pcap(
          frames.map((frame, i) => record(i, frame)),
          { link },
        ),
      );
    });
  });

  test("arbitrary packets behind good headers: every IP protocol and ether type", async () => {
    const type = fc.constantFrom(0x0800, 0x86dd, 0x8100, 0x88a8, 0x0806, 0x6558);
    const ipv4 = fc
      .tuple(fc.constantFrom(1, 2, 4, 6, 17, 41, 47, 50, 51, 58, 132, 255), payload, fc.nat(0xffff), fc.boolean())
      .map(([protocol, rest, fragment, whole]) =>
        bytes(0x45, 0, u16(20 + rest.length), u16(7), u16(whole ? 0 : fragment), 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, rest),
      );
    const ipv6 = fc
      .tuple(fc.constantFrom(0, 4, 6, 17, 41, 43, 44, 47, 51, 58, 59, 60, 132, 135), payload)
      .map(([next, rest]) => bytes(0x60, 0, 0, 0, u16(rest.length), next, 64, new Uint8Array(15), 1, new Uint8Array(15), 2, rest));
    const packet = fc.oneof(
      ipv4,
      ipv6,
      fc.tuple(type, payload).map(([ether, rest]) => ({ type: ether, bytes: rest })),
    );
    await fuzz(11, fc.array(fc.tuple(packet, fc.nat(2)), { maxLength: 25 }), async (packets) => {
      for (const [link, wrap] of [
        [1, ethernet],
        [113, sll],
        [276, sll2],
      ] as const) {
        await readCapture(
          pcap(
            packets.map(([inner], i) => record(i * 0.01, wrap(inner))),
            { link },
          ),
        );
      }
      await readCapture(pcapng(packets.map(([inner, place], i) => record(i * 0.01, ethernet(inner), { interface: place }))));
    });
  });

  test("pcapng blocks of arbitrary content", async () => {
    await fuzz(8, fc.tuple(fc.boolean(), fc.array(block, { maxLength: 20 })), async ([big, blocks]) => {
      const maker = new PcapngBlocks(big);
      await readCapture(bytes(maker.section(), maker.interface(), ...blocks.map(({ type, content }) => maker.block(type, content))));
    });
  });

  test.skipIf(fixtures.length === 0)("captures of real programs, changed", async () => {
    await fuzz(11, fc.tuple(fc.nat(fixtures.length - 1), fc.array(change, { minLength: 1, maxLength: 8 })), async ([index, changes]) => {
      await readCapture(apply(fixtures[index], changes));
    });
  });

  test("made captures, changed, compressed and cut, several at once", async () => {
    const changes = fc.array(change, { maxLength: 4 });
    await fuzz(9, fc.tuple(traffic(20), traffic(20), changes, changes, fc.nat(3)), async ([one, two, changesOne, changesTwo, form]) => {
      const wrap = [(file: Uint8Array) => file, gzipSync, zstdCompressSync, (file: Uint8Array) => file][form];
      await readCapture(apply(wrap(pcap(one)), changesOne), apply(pcapng(two, { big: form === 3 }), changesTwo));
    });
  });
});
