import { createHash } from "node:crypto";

/*
 * Reads Mach-O files as Apple's loader and kernel do (mach-o/loader.h, kern/cs_blobs.h), for what scripts/package/machO.mjs writes.
 */

export const ARM64 = 0x0100000c;
export const X86_64 = 0x01000007;

export interface Section {
  readonly segment: string;
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

export interface Segment {
  readonly name: string;
  readonly address: number;
  readonly memoryBytes: number;
  readonly offset: number;
  readonly bytes: number;
}

export interface MachO {
  readonly cpu: number;
  readonly segments: readonly Segment[];
  readonly sections: readonly Section[];
  readonly signature: { readonly offset: number; readonly size: number } | undefined;
}

export function readMachO(file: Buffer): MachO {
  if (file.readUInt32LE(0) !== 0xfeedfacf) throw new Error("no 64-bit Mach-O file");
  const text = (offset: number) => file.toString("latin1", offset, offset + 16).replace(/\0+$/, "");
  const long = (offset: number) => Number(file.readBigUInt64LE(offset));
  const segments: Segment[] = [];
  const sections: Section[] = [];
  let signature: MachO["signature"];
  let at = 32;
  for (let index = 0; index < file.readUInt32LE(16); index++) {
    const command = file.readUInt32LE(at);
    if (command === 0x19) {
      const name = text(at + 8);
      segments.push({ name, address: long(at + 24), memoryBytes: long(at + 32), offset: long(at + 40), bytes: long(at + 48) });
      for (let section = at + 72, left = file.readUInt32LE(at + 64); left > 0; left--, section += 80)
        sections.push({ segment: name, name: text(section), offset: file.readUInt32LE(section + 48), size: long(section + 40) });
    }
    if (command === 0x1d) signature = { offset: file.readUInt32LE(at + 8), size: file.readUInt32LE(at + 12) };
    at += file.readUInt32LE(at + 4);
  }
  if (at !== 32 + file.readUInt32LE(20)) throw new Error("load commands of another length");
  return { cpu: file.readUInt32LE(4), segments, sections, signature };
}

/** Says what is wrong with the segments: outside of the file, over one another, or anything behind __LINKEDIT. */
export function segmentFaults(file: Buffer): string[] {
  const { cpu, segments } = readMachO(file);
  const page = cpu === ARM64 ? 0x4000 : 0x1000;
  const faults: string[] = [];
  for (const [index, { name, address, memoryBytes, offset, bytes }] of segments.entries()) {
    if (offset + bytes > file.length) faults.push(`${name} lies outside of the file`);
    if (bytes > memoryBytes) faults.push(`${name} is larger than its memory`);
    if (address % page !== 0 || offset % page !== 0) faults.push(`${name} begins within a page`);
    const next = segments[index + 1];
    if (next !== undefined && address + memoryBytes > next.address) faults.push(`${name} lies over ${next.name} in memory`);
    if (next !== undefined && offset + bytes > next.offset) faults.push(`${name} lies over ${next.name} in the file`);
  }
  const last = segments.at(-1);
  if (last?.name !== "__LINKEDIT") faults.push("__LINKEDIT is not last");
  else if (last.offset + last.bytes !== file.length) faults.push("__LINKEDIT is not the end of the file");
  return faults;
}

/** Says what of the signature the kernel would refuse: it hashes each page that it loads, and the special slots. */
export function signatureFaults(file: Buffer, identifier: string): string[] {
  const { signature, segments } = readMachO(file);
  if (signature === undefined) return ["no signature"];
  if (signature.offset % 16 !== 0 || signature.offset + signature.size !== file.length) return ["the signature is not the end of the file"];
  const blob = file.subarray(signature.offset, signature.offset + signature.size);
  if (blob.readUInt32BE(0) !== 0xfade0cc0 || blob.readUInt32BE(4) > blob.length) return ["no signature's magic number"];
  const slots = new Map<number, Buffer>();
  for (let index = 0; index < blob.readUInt32BE(8); index++) {
    const offset = blob.readUInt32BE(16 + 8 * index);
    slots.set(blob.readUInt32BE(12 + 8 * index), blob.subarray(offset, offset + blob.readUInt32BE(offset + 4)));
  }
  const directory = slots.get(0);
  if (directory?.readUInt32BE(0) !== 0xfade0c02) return ["no code directory"];
  const faults: string[] = [];
  const want = (what: string, has: unknown, wants: unknown) => has === wants || faults.push(`${what} is ${has}, not ${wants}`);
  want("version", directory.readUInt32BE(8), 0x20400);
  want("flags", directory.readUInt32BE(12), 2);
  want("hash size", directory[36], 32);
  want("hash type", directory[37], 2);
  want("page size", directory[39], 12);
  want("code limit", directory.readUInt32BE(32), signature.offset);
  want("pages", directory.readUInt32BE(28), Math.ceil(signature.offset / 4096));
  const name = directory.readUInt32BE(20);
  want("identifier", directory.toString("latin1", name, directory.indexOf(0, name)), identifier);
  const text = segments.find((segment) => segment.name === "__TEXT")!;
  want("executable segment's begin", Number(directory.readBigUInt64BE(64)), text.offset);
  want("executable segment's size", Number(directory.readBigUInt64BE(72)), text.bytes);
  want("executable segment's flags", Number(directory.readBigUInt64BE(80)), 1);

  const hashes = directory.readUInt32BE(16);
  const hashAt = (slot: number) => directory.toString("hex", hashes + 32 * slot, hashes + 32 * slot + 32);
  const hashOf = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
  for (let slot = 1; slot <= directory.readUInt32BE(24); slot++) {
    const special = slots.get(slot);
    want(`special slot ${slot}`, hashAt(-slot), special === undefined ? "0".repeat(64) : hashOf(special));
  }
  for (let page = 0; page * 4096 < signature.offset; page++)
    want(`page ${page}`, hashAt(page), hashOf(file.subarray(page * 4096, Math.min((page + 1) * 4096, signature.offset))));
  return faults;
}
