// Ad-hoc signatures of Mach-O executables. A Mac starts no arm64 executable whose signature is missing or does not fit its pages, and
// putting the program into Node breaks the one of Node. The formats: Apple's mach-o/loader.h, and kern/cs_blobs.h for the signature.
import { createHash } from "node:crypto";

const MH_MAGIC_64 = 0xfeedfacf;
const HEADER_BYTES = 32;
const LC_SEGMENT_64 = 0x19;
const LC_CODE_SIGNATURE = 0x1d;
const SEGMENT_BYTES = 72;
const SIGNATURE_COMMAND_BYTES = 16;
const NAME_BYTES = 16;

const CSMAGIC_EMBEDDED_SIGNATURE = 0xfade0cc0;
const CSMAGIC_CODEDIRECTORY = 0xfade0c02;
const CSMAGIC_REQUIREMENTS = 0xfade0c01;
const CSMAGIC_BLOBWRAPPER = 0xfade0b01;
const SLOT_CODEDIRECTORY = 0;
const SLOT_REQUIREMENTS = 2;
const SLOT_SIGNATURE = 0x10000;
const CODEDIRECTORY_VERSION = 0x20400;
const CODEDIRECTORY_BYTES = 88;
const CS_ADHOC = 2;
const CS_EXECSEG_MAIN_BINARY = 1;
const CS_HASHTYPE_SHA256 = 2;
const HASH_BYTES = 32;
/** Signatures count in pages of 4 KB on every processor; segments are mapped in pages of 16 KB on arm64. */
const SIGNED_PAGE_BITS = 12;
const SEGMENT_PAGE = 0x4000;

const sha256 = (bytes) => createHash("sha256").update(bytes).digest();
const pagesOf = (codeBytes) => Math.ceil(codeBytes / (1 << SIGNED_PAGE_BITS));
const roundUp = (number, to) => Math.ceil(number / to) * to;

/** Returns the load commands of a 64-bit Mach-O file: what each is and where, and segments' names. */
function loadCommands(bytes) {
  if (bytes.readUInt32LE(0) !== MH_MAGIC_64) throw new Error("not a 64-bit Mach-O file");
  const commands = [];
  let offset = HEADER_BYTES;
  for (let index = 0; index < bytes.readUInt32LE(16); index++) {
    const command = bytes.readUInt32LE(offset);
    commands.push({ command, offset, name: command === LC_SEGMENT_64 ? nameAt(bytes, offset + 8) : undefined });
    offset += bytes.readUInt32LE(offset + 4);
  }
  return commands;
}

const nameAt = (bytes, offset) => bytes.toString("latin1", offset, offset + NAME_BYTES).replace(/\0+$/, "");

/** Returns the bytes with an ad-hoc signature under an identifier, in place of the one that they have, if any. */
export function signAdHoc(bytes, identifier) {
  const commands = loadCommands(bytes);
  const text = commands.find(({ name }) => name === "__TEXT");
  const linkedit = commands.find(({ name }) => name === "__LINKEDIT");
  if (text === undefined || linkedit === undefined) throw new Error("a Mach-O file without __TEXT or __LINKEDIT");
  const linkeditStart = Number(bytes.readBigUInt64LE(linkedit.offset + 40));
  if (linkeditStart + Number(bytes.readBigUInt64LE(linkedit.offset + 48)) !== bytes.length)
    throw new Error("a Mach-O file that goes on after __LINKEDIT");
  const old = commands.find(({ command }) => command === LC_CODE_SIGNATURE);
  const end = old === undefined ? bytes.length : bytes.readUInt32LE(old.offset + 8);

  const codeBytes = roundUp(end, 16);
  const signatureBytes = roundUp(layout(identifier, pagesOf(codeBytes)).total, 16);
  const signed = Buffer.alloc(codeBytes + signatureBytes);
  bytes.copy(signed, 0, 0, end);
  const command = old?.offset ?? addCommand(signed, text.offset);
  signed.writeUInt32LE(LC_CODE_SIGNATURE, command);
  signed.writeUInt32LE(SIGNATURE_COMMAND_BYTES, command + 4);
  signed.writeUInt32LE(codeBytes, command + 8);
  signed.writeUInt32LE(signatureBytes, command + 12);
  const linkeditBytes = signed.length - linkeditStart;
  signed.writeBigUInt64LE(BigInt(roundUp(linkeditBytes, SEGMENT_PAGE)), linkedit.offset + 32);
  signed.writeBigUInt64LE(BigInt(linkeditBytes), linkedit.offset + 48);
  const textStart = bytes.readBigUInt64LE(text.offset + 40);
  const textBytes = bytes.readBigUInt64LE(text.offset + 48);
  // The pages are hashed last: the first ones hold what was just written.
  makeSignature(signed.subarray(0, codeBytes), identifier, textStart, textBytes).copy(signed, codeBytes);
  return signed;
}

/** Makes room for one more load command, in the free space between the last one and the first section; returns its place. */
function addCommand(bytes, text) {
  const place = HEADER_BYTES + bytes.readUInt32LE(20);
  const firstSection = bytes.readUInt32LE(text + SEGMENT_BYTES + 48);
  if (place + SIGNATURE_COMMAND_BYTES > firstSection) throw new Error("a Mach-O file without room for a signature's load command");
  bytes.writeUInt32LE(bytes.readUInt32LE(16) + 1, 16);
  bytes.writeUInt32LE(bytes.readUInt32LE(20) + SIGNATURE_COMMAND_BYTES, 20);
  return place;
}

/** Where the parts of a signature begin: index of three blobs, code directory, requirements (none), signature (none). */
function layout(identifier, pages) {
  const directory = 12 + 3 * 8;
  // A hash for each kind of special slot up to that of the requirements: property list (none), requirements.
  const hashes = CODEDIRECTORY_BYTES + identifier.length + 1 + SLOT_REQUIREMENTS * HASH_BYTES;
  const directoryBytes = hashes + pages * HASH_BYTES;
  const requirements = directory + directoryBytes;
  const signature = requirements + 12;
  return { directory, hashes, directoryBytes, requirements, signature, total: signature + 8 };
}

function makeSignature(code, identifier, textStart, textBytes) {
  const pageBytes = 1 << SIGNED_PAGE_BITS;
  const pages = pagesOf(code.length);
  const { directory, hashes, directoryBytes, requirements, signature, total } = layout(identifier, pages);
  const blob = Buffer.alloc(total);
  const words = (offset, ...values) => values.forEach((value, index) => blob.writeUInt32BE(value, offset + 4 * index));
  words(0, CSMAGIC_EMBEDDED_SIGNATURE, total, 3);
  words(12, SLOT_CODEDIRECTORY, directory, SLOT_REQUIREMENTS, requirements, SLOT_SIGNATURE, signature);
  words(requirements, CSMAGIC_REQUIREMENTS, 12, 0);
  words(signature, CSMAGIC_BLOBWRAPPER, 8);

  words(directory, CSMAGIC_CODEDIRECTORY, directoryBytes, CODEDIRECTORY_VERSION, CS_ADHOC, hashes, CODEDIRECTORY_BYTES);
  words(directory + 24, SLOT_REQUIREMENTS, pages, code.length);
  blob.set([HASH_BYTES, CS_HASHTYPE_SHA256, 0, SIGNED_PAGE_BITS], directory + 36);
  blob.writeBigUInt64BE(textStart, directory + 64);
  blob.writeBigUInt64BE(textBytes, directory + 72);
  blob.writeBigUInt64BE(BigInt(CS_EXECSEG_MAIN_BINARY), directory + 80);
  blob.write(identifier, directory + CODEDIRECTORY_BYTES, "latin1");
  // Special slots lie before the first page's hash, in falling order.
  const first = directory + hashes;
  sha256(blob.subarray(requirements, requirements + 12)).copy(blob, first - SLOT_REQUIREMENTS * HASH_BYTES);
  for (let page = 0; page < pages; page++)
    sha256(code.subarray(page * pageBytes, (page + 1) * pageBytes)).copy(blob, first + page * HASH_BYTES);
  return blob;
}
