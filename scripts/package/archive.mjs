// Archives whose bytes hang on their files alone: no names or times of whoever made them. tar as POSIX ustar
// (https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html), zip as in PKWARE's APPNOTE.TXT.
import { promisify } from "node:util";
import { crc32, deflateRaw, gzip } from "node:zlib";

/** The time of every file: the first that zip can tell, 1980-01-01 00:00:00 UTC. */
const TIME_SECONDS = 315_532_800;
const DOS_TIME = 0;
const DOS_DATE = (1 << 5) | 1;

const BLOCK_BYTES = 512;
const LEVEL = 9;

const modeOf = ({ executable }) => (executable ? 0o755 : 0o644);

/** Returns a tar archive in gzip of files `{name, bytes, executable?}`, in their order. Names are short (100 bytes) and ASCII. */
export async function makeTarGz(files) {
  const parts = files.flatMap((file) => [tarHeader(file), file.bytes, Buffer.alloc(-file.bytes.length & (BLOCK_BYTES - 1))]);
  // Node's zlib writes neither name nor time.
  return promisify(gzip)(Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)]), { level: LEVEL });
}

function tarHeader(file) {
  const header = Buffer.alloc(BLOCK_BYTES);
  const octal = (number, offset, digits) => header.write(`${number.toString(8).padStart(digits, "0")}\0`, offset, "latin1");
  header.write(file.name, 0, 100, "latin1");
  octal(modeOf(file), 100, 7);
  octal(0, 108, 7); // user
  octal(0, 116, 7); // group
  octal(file.bytes.length, 124, 11);
  octal(TIME_SECONDS, 136, 11);
  header.fill(" ", 148, 156); // the checksum counts as blanks while it is made
  header.write("0", 156, "latin1"); // a regular file
  header.write("ustar\u000000", 257, "latin1");
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  );
  return header;
}

/** Returns a zip archive of files `{name, bytes, executable?}`, in their order. Below 4 GB; names are ASCII. */
export async function makeZip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const file of files) {
    const deflated = await promisify(deflateRaw)(file.bytes, { level: LEVEL });
    const fields = zipFields(file, deflated);
    const local = Buffer.concat([le32(0x04034b50), fields, Buffer.from(file.name, "latin1")]);
    // Made by Unix (3) in version 2.0 of the format; no comment, one disk; Unix's mode of a regular file; where the file begins.
    const attributes = Buffer.concat([le16(0), le16(0), le16(0), le32(((0o100000 | modeOf(file)) << 16) >>> 0), le32(offset)]);
    directory.push(le32(0x02014b50), le16((3 << 8) | 20), fields, attributes, Buffer.from(file.name, "latin1"));
    parts.push(local, deflated);
    offset += local.length + deflated.length;
  }
  const central = Buffer.concat(directory);
  const count = le16(files.length);
  const end = [le32(0x06054b50), le16(0), le16(0), count, count, le32(central.length), le32(offset), le16(0)];
  return Buffer.concat([...parts, central, ...end]);
}

/** What a file's own header and the directory's entry both have: version, flags, method, time, sum, sizes, lengths. */
function zipFields({ name, bytes }, deflated) {
  const sums = [le32(crc32(bytes)), le32(deflated.length), le32(bytes.length)];
  return Buffer.concat([le16(20), le16(0), le16(8), le16(DOS_TIME), le16(DOS_DATE), ...sums, le16(name.length), le16(0)]);
}

function le16(number) {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(number);
  return bytes;
}

function le32(number) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(number);
  return bytes;
}
