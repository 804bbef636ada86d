import { describe, expect, test } from "vitest";
import { PacketDecoder } from "../../src/capture/packetDecoder.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import { KernelError } from "../../src/flow/kernel.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { RunningConnections } from "../../src/flow/running.ts";
import { NOTHING_KNOWN } from "../capture/replay.ts";

describe("memory of the kernel", () => {
  test("a buffer that was given back is given out again, and what is in it stays where memory grows", () => {
    const table = new FlowTable(1);
    const sink = new PacketDecoder(table, new NameTable());
    const first = sink.buffer(18);
    const kept = sink.buffer(18);
    kept.fill(7);
    sink.release(first);
    const again = sink.buffer(18);
    expect(again.byteOffset).toBe(first.byteOffset);
    expect(kept.byteOffset).not.toBe(first.byteOffset);
    for (let i = 0; i < 5000; i++) {
      table.locate(i, 99, 1, 2, 6);
      table.add(i, 99, 1, 2, 6, i, 0);
    }
    const large = sink.buffer(24).fill(8);
    expect([large.length, large[0], large.at(-1)]).toEqual([1 << 24, 8, 8]);
    expect(kept.every((byte) => byte === 7)).toBe(true);
    for (let i = 0; i < 5000; i++) expect([table.locate(i, 99, 1, 2, 6), table.firstSeconds(i)]).toEqual([i, i]);
  });

  test("rows begin with zeros, also where memory was used before", () => {
    const table = new FlowTable(1);
    const sink = new PacketDecoder(table, new NameTable());
    const buffers = [17, 18, 19, 20, 21].map((bits) => sink.buffer(bits).fill(255));
    for (const buffer of buffers) sink.release(buffer);
    for (let i = 0; i < 20_000; i++) {
      expect(table.locate(i, 99, 1, 2, 6)).toBe(-1);
      table.add(i, 99, 1, 2, 6, i, 0);
    }
    for (let i = 0; i < 20_000; i++) {
      expect([table.packetsOf(i, 0), table.packetsOf(i, 1), table.bytesOf(i, 0), table.bytesOf(i, 1)]).toEqual([0, 0, 0, 0]);
    }
  });

  test("what does not fit into 32 bits is refused in words, not cut", () => {
    const { kernel } = new FlowTable(1);
    kernel.calls.allocate(31);
    expect(() => kernel.calls.allocate(31)).toThrow(KernelError);
    expect(() => kernel.calls.allocate(31)).toThrow(/--since/);
  });

  test("sums pass 32 bits, and stay at the most that 48 bits hold", () => {
    const table = new FlowTable(1);
    table.locate(1, 2, 3, 4, 6);
    const row = table.add(1, 2, 3, 4, 6, 5, 0);
    for (const side of [0, 1]) {
      for (let i = 0; i < 3; i++) table.addBytes(row, side, 0xfffffff0);
      table.count(row, side, 0xffffffff, 4_000_000_000, 7);
      expect(table.bytesOf(row, side)).toBe(3 * 0xfffffff0 + 0xffffffff);
      table.addBytes(row, side, 2 ** 50);
      expect(table.bytesOf(row, side)).toBeGreaterThanOrEqual(0xffff * 2 ** 32);
    }
    expect([table.packetsOf(row, 0), table.packetsOf(row, 1)]).toEqual([1, 1]);
    expect([table.lastSeconds(row), table.lastNanoseconds(row)]).toEqual([4_000_000_000, 7]);
    table.touch(row, 2, 3);
    expect([table.firstSeconds(row), table.firstNanoseconds(row), table.lastSeconds(row)]).toEqual([2, 3, 4_000_000_000]);
  });

  test("a table that drops rows finds the others, the newest of a tuple, and begins new ones with zeros", () => {
    const table = new FlowTable(1);
    for (let i = 0; i < 9000; i++) {
      table.locate(i % 3000, 99, 1, 2, 6);
      table.count(table.add(i % 3000, 99, 1, 2, 6, i, 0), 0, 100, i, 0);
    }
    const part = table.part((row) => row >= 8000);
    table.keep((row) => row >= 1000 && row < 6000);
    expect([part.size, part.firstSeconds(999), part.addresses.addressOf(part.addressId(999, 0)).toString()]).toEqual([
      1000,
      8999,
      table.addresses.addressOf(table.addressId(0, 0)).toString(),
    ]);
    expect(table.size).toBe(5000);
    for (let row = 0; row < table.size; row++) expect(table.firstSeconds(row)).toBe(row + 1000);
    for (let i = 0; i < 3000; i++) expect(table.firstSeconds(table.locate(i, 99, 1, 2, 6))).toBe(i + 3000);
    const row = table.add(2999, 99, 1, 2, 6, 1, 0);
    expect([row, table.locate(2999, 99, 1, 2, 6), table.packetsOf(row, 0), table.bytesOf(row, 0)]).toEqual([5000, 5000, 0, 0]);
    table.keep(() => false);
    expect([table.size, table.locate(2999, 99, 1, 2, 6)]).toEqual([0, -1]);
  });

  test("a stream that is settled again and again holds one table", () => {
    const stream = new RunningConnections(new FlowTable(1), new L7Hints(), new LoggedParties(), NOTHING_KNOWN);
    const { kernel } = stream.table;
    let before = 0;
    for (let i = 0; i < 20_000; i++) {
      stream.table.locate(7, 99, 2000 + i, 80, 6);
      stream.table.add(7, 99, 2000 + i, 80, 6, i, 0);
      if (i % 1000 === 999) stream.settle(i - 500);
      if (i % 500 === 0) expect(stream.now().size).toBe(1);
      if (i === 2000) before = kernel.bytes().length;
    }
    expect([stream.table.kernel === kernel, kernel.bytes().length, stream.now().count(0)]).toEqual([true, before, 20_000]);
  });
});
