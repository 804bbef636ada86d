import { describe, expect, test } from "vitest";
import { PacketDecoder } from "../../src/capture/packetDecoder.ts";
import { Connections } from "../../src/flow/connections.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import { KernelError } from "../../src/flow/kernel.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { RunningConnections } from "../../src/flow/running.ts";
import { CHUNK_CELL_BITS } from "../../src/kernel/constants.ts";
import { TCP } from "../../src/net/protocol.ts";
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

  test("more connections than lie together: each is found again, a copy is its own, and memory is used again", () => {
    const { kernel } = new FlowTable(1);
    const connections = new Connections(kernel);
    const count = (1 << CHUNK_CELL_BITS) * 2 + 3;
    const intern = (to: Connections, i: number) => kernel.calls.internConnection(to.store, i, 0, 7, 0, -1, 80, TCP);
    for (let i = 0; i < count; i++) expect(intern(connections, i)).toBe(i);
    connections.look();
    connections.setTally(count - 1, { attempts: [0, 0, 3, 0, 0], packets: 4, bytes: 5 });
    const copy = connections.clone();
    expect(intern(copy, count)).toBe(count);
    copy.look();
    copy.setTally(0, { attempts: [1, 0, 0, 0, 0], packets: 1, bytes: 1 });
    expect([connections.size, copy.size, connections.count(0), copy.count(0)]).toEqual([count, count + 1, 0, 1]);
    for (const i of [0, 1, (1 << CHUNK_CELL_BITS) - 1, 1 << CHUNK_CELL_BITS, count - 1]) {
      for (const each of [connections, copy]) {
        expect([intern(each, i), each.source(i), each.destination(i), each.via(i), each.port(i), each.protocol(i)]).toEqual([
          i,
          i,
          7,
          -1,
          80,
          TCP,
        ]);
        expect([each.arrivesFrom(i), each.firstSeconds(i), each.lastSeconds(i)]).toEqual([-1, Number.NaN, Number.NaN]);
      }
    }
    expect([copy.tries(count - 1, 2), copy.packets(count - 1), copy.bytes(count - 1), copy.count(count)]).toEqual([3, 4, 5, 0]);
    copy.release();
    const before = kernel.bytes().length;
    for (let k = 0; k < 5; k++) connections.clone().release();
    expect(kernel.bytes().length).toBe(before);
  });

  test("what is missing is cut off a larger region that nobody needs", () => {
    const { kernel } = new FlowTable(1);
    const { allocate, release } = kernel.calls;
    const large = allocate(24);
    release(large, 24);
    const parts = [allocate(22), allocate(22), allocate(23)];
    expect(parts).toEqual([large, large + (1 << 22), large + (1 << 23)]);
    const before = kernel.bytes().length;
    for (const [i, part] of parts.entries()) release(part, i === 2 ? 23 : 22);
    expect([allocate(22), allocate(22), allocate(23)].toSorted((a, b) => a - b)).toEqual(parts);
    expect(kernel.bytes().length).toBe(before);
    expect(() => allocate(32)).toThrow(KernelError);
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
