import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, inflateRawSync } from "node:zlib";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const { version: VERSION } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };

export const PLATFORMS = ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64", "windows-amd64"] as const;
export type Platform = (typeof PLATFORMS)[number];

/** A file of an archive, as whoever unpacks it gets it. */
export interface PackedFile {
  readonly name: string;
  readonly mode: number;
  readonly bytes: Buffer;
}

export function archiveName(platform: Platform): string {
  return `kubectl-kguardian-v${VERSION}-${platform}.${platform === "windows-amd64" ? "zip" : "tar.gz"}`;
}

/** Reads an archive by its specification alone; throws where a checksum does not fit. */
export function readArchive(path: string): PackedFile[] {
  const bytes = readFileSync(path);
  return path.endsWith(".zip") ? readZip(bytes) : readTar(gunzipSync(bytes));
}

/** POSIX ustar: blocks of 512 bytes, numbers in octal, two empty blocks at the end. */
function readTar(tar: Buffer): PackedFile[] {
  const files: PackedFile[] = [];
  for (let at = 0; tar[at] !== 0; ) {
    const text = (offset: number, length: number) => tar.toString("latin1", at + offset, at + offset + length).replace(/\0.*$/s, "");
    const octal = (offset: number, length: number) => Number.parseInt(text(offset, length), 8);
    let sum = 0;
    for (let index = 0; index < 512; index++) sum += index >= 148 && index < 156 ? 0x20 : tar[at + index];
    if (sum !== octal(148, 8) || text(257, 6) !== "ustar") throw new Error(`no tar header at ${at}`);
    const size = octal(124, 12);
    files.push({ name: text(0, 100), mode: octal(100, 8), bytes: tar.subarray(at + 512, at + 512 + size) });
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

/** APPNOTE.TXT, 4.3: from the record at the end to the directory, from there to each file. */
function readZip(zip: Buffer): PackedFile[] {
  const end = zip.length - 22;
  if (zip.readUInt32LE(end) !== 0x06054b50) throw new Error("no zip archive");
  const files: PackedFile[] = [];
  let at = zip.readUInt32LE(end + 16);
  for (let index = 0; index < zip.readUInt16LE(end + 10); index++) {
    const [name, extra, comment] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset));
    const local = zip.readUInt32LE(at + 42);
    const begin = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const bytes = inflateRawSync(zip.subarray(begin, begin + zip.readUInt32LE(at + 20)));
    if (zip.readUInt32LE(at) !== 0x02014b50 || zip.readUInt32LE(local) !== 0x04034b50) throw new Error("a damaged zip archive");
    if (bytes.length !== zip.readUInt32LE(at + 24)) throw new Error("a zip entry of another size");
    files.push({ name: zip.toString("latin1", at + 46, at + 46 + name), mode: (zip.readUInt32LE(at + 38) >>> 16) & 0o7777, bytes });
    at += 46 + name + extra + comment;
  }
  return files;
}

/** The shared libraries that a 64-bit ELF file asks for (System V ABI: DT_NEEDED in PT_DYNAMIC). */
export function neededLibraries(file: Buffer): string[] {
  const long = (offset: number) => Number(file.readBigUInt64LE(offset));
  const headers = Array.from({ length: file.readUInt16LE(56) }, (_, index) => {
    const at = long(32) + index * file.readUInt16LE(54);
    return { type: file.readUInt32LE(at), offset: long(at + 8), address: long(at + 16), bytes: long(at + 32) };
  });
  const dynamic = headers.find(({ type }) => type === 2)!;
  const entries = Array.from({ length: dynamic.bytes / 16 }, (_, index) => {
    const at = dynamic.offset + 16 * index;
    return { tag: long(at), value: long(at + 8) };
  });
  const strings = entries.find(({ tag }) => tag === 5)!.value;
  const loaded = headers.find(({ type, address, bytes }) => type === 1 && strings >= address && strings < address + bytes)!;
  const begin = loaded.offset + strings - loaded.address;
  const needed = entries.filter(({ tag }) => tag === 1).map(({ value }) => begin + value);
  return needed.map((at) => file.toString("latin1", at, file.indexOf(0, at))).sort();
}

/** The plugin's executable of a platform. */
export function readExecutable(folder: string, platform: Platform): Buffer {
  return readArchive(join(folder, archiveName(platform))).find(({ mode }) => (mode & 0o111) !== 0)!.bytes;
}
