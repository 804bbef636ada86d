import { put16 } from "./pcapWriter.ts";

/** A question and its answer as UDP payloads; the first two bytes (the identification) are for each lookup to fill in. */
export interface Lookup {
  readonly question: Uint8Array;
  readonly answer: Uint8Array;
}

const typeA = 1;
const typeAaaa = 28;

/** A lookup of IPv4 (4-byte) or IPv6 (16-byte) `addresses`; none: the name exists without such a record, or (`missing`) not at all. */
export function makeLookup(name: string, version: 4 | 6, addresses: readonly Uint8Array[], missing = false): Lookup {
  const type = version === 4 ? typeA : typeAaaa;
  const question = message(name, type, 0x0100, 0);
  const head = message(name, type, missing ? 0x8183 : 0x8180, addresses.length);
  const records = addresses.map((address) => {
    const record = new Uint8Array(12 + address.length);
    put16(record, 0, 0xc00c); // the name of the question, RFC 1035 section 4.1.4
    put16(record, 2, type);
    put16(record, 4, 1);
    put16(record, 8, 30); // seconds to live, as CoreDNS answers
    put16(record, 10, address.length);
    record.set(address, 12);
    return record;
  });
  return { question, answer: Buffer.concat([head, ...records]) };
}

/** The header and the one question (RFC 1035 section 4.1). */
function message(name: string, type: number, flags: number, answers: number): Uint8Array {
  const labels = name.split(".");
  const bytes = new Uint8Array(12 + labels.reduce((sum, label) => sum + label.length + 1, 1) + 4);
  put16(bytes, 2, flags);
  put16(bytes, 4, 1);
  put16(bytes, 6, answers);
  let at = 12;
  for (const label of labels) {
    bytes[at++] = label.length;
    for (const character of label) bytes[at++] = character.charCodeAt(0);
  }
  at++;
  put16(bytes, at, type);
  put16(bytes, at + 2, 1);
  return bytes;
}
