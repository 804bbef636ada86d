import ipaddr from "ipaddr.js";

/**
 * An IP address as one 128-bit unsigned number. IPv4 is held as the IPv4-mapped IPv6 address ::ffff:a.b.c.d
 * (RFC 4291 section 2.5.5.2), so that both families share every comparison, prefix and interval in the program.
 * Off the packet path only: packets carry 32-bit words (see flow/flowTable.ts).
 */
export type Address = bigint;

/** The four 32-bit words of an address, most significant first. */
export type AddressWords = readonly [number, number, number, number];

const MAPPED_HIGH = 0xffffn << 32n;
const LAST_32_BITS = 0xffffffffn;

/** Returns the IPv4 address of a 32-bit unsigned number in network order. */
export function addressFromIPv4(word: number): Address {
  return MAPPED_HIGH | BigInt(word >>> 0);
}

/** Returns the address of four 32-bit words, most significant first. */
export function addressFromWords(w0: number, w1: number, w2: number, w3: number): Address {
  return (BigInt(w0 >>> 0) << 96n) | (BigInt(w1 >>> 0) << 64n) | (BigInt(w2 >>> 0) << 32n) | BigInt(w3 >>> 0);
}

/** Returns the four 32-bit words of an address, most significant first. */
export function wordsOfAddress(address: Address): AddressWords {
  return [
    Number((address >> 96n) & LAST_32_BITS),
    Number((address >> 64n) & LAST_32_BITS),
    Number((address >> 32n) & LAST_32_BITS),
    Number(address & LAST_32_BITS),
  ];
}

/** Reports whether an address is IPv4 (held as IPv4-mapped). */
export function isIPv4(address: Address): boolean {
  return address >> 32n === 0xffffn;
}

/**
 * Returns the address that a text names, or undefined when it names none. IPv4 must be four decimal parts without leading
 * zeros (`010.0.0.1` is ambiguous: octal to some readers); IPv6 zones (`fe80::1%eth0`) are dropped.
 */
export function parseAddress(text: string): Address | undefined {
  if (text.length === 0 || text.length > 64) return undefined;
  if (!text.includes(":")) return parseIPv4(text);
  const plain = withoutDottedTail(text);
  if (plain === undefined) return undefined;
  let value = 0n;
  try {
    for (const part of ipaddr.IPv6.parse(plain).parts) value = (value << 16n) | BigInt(part);
  } catch {
    return undefined;
  }
  return value;
}

/** By hand: a snapshot has thousands of them, and regular expressions took ten times as long. */
function parseIPv4(text: string): Address | undefined {
  let word = 0;
  let parts = 0;
  let part = -1; // -1: no digit yet
  for (let i = 0; i <= text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit >= 0 && digit <= 9) {
      if (part === 0) return undefined;
      part = (part < 0 ? 0 : part * 10) + digit;
      if (part > 255) return undefined;
    } else {
      if (part < 0 || ++parts > 4 || (i < text.length && text[i] !== ".")) return undefined;
      word = (word << 8) | part;
      part = -1;
    }
  }
  return parts === 4 ? addressFromIPv4(word) : undefined;
}

/** Writes the last 32 bits of `::ffff:10.0.0.1` in hexadecimal: ipaddr.js takes `::10.0.0.1` for the mapped address, which it is not. */
function withoutDottedTail(text: string): string | undefined {
  const colon = text.lastIndexOf(":");
  if (!text.includes(".", colon)) return text;
  const tail = parseAddress(text.slice(colon + 1));
  if (tail === undefined) return undefined;
  const word = Number(tail & LAST_32_BITS);
  return `${text.slice(0, colon + 1)}${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`;
}

/** Returns the canonical text of an address: dotted decimal for IPv4, RFC 5952 for IPv6. */
export function formatAddress(address: Address): string {
  if (!isIPv4(address)) return formatIPv6(address);
  const word = Number(address & LAST_32_BITS);
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

/** Returns the RFC 5952 text of an address, also of an IPv4-mapped one. */
export function formatIPv6(address: Address): string {
  return new ipaddr.IPv6(wordsOfAddress(address).flatMap((word) => [word >>> 16, word & 0xffff])).toRFC5952String();
}

/** Reports whether an address names a group or every host rather than one (RFC 1112, RFC 4291 section 2.7, 255.255.255.255). */
export function isMulticastOrBroadcast(address: Address): boolean {
  if (!isIPv4(address)) return address >> 120n === 0xffn;
  const word = Number(address & LAST_32_BITS);
  return word >>> 28 === 0xe || word === 0xffffffff;
}

/** Reports whether an address is of a private network (RFC 1918, RFC 6598, RFC 4193) or of a link or host: one that a cluster may use inside. */
export function isPrivate(address: Address): boolean {
  if (isLinkOrHostLocal(address)) return true;
  if (!isIPv4(address)) return address >> 121n === 0x7en;
  const word = Number(address & LAST_32_BITS);
  return word >>> 24 === 10 || word >>> 20 === 0xac1 || word >>> 16 === 0xc0a8 || word >>> 22 === 0x191;
}

/** Reports whether an address is meaningful on its own link or host only: 127/8, ::1, 169.254/16, fe80::/10, unspecified. */
export function isLinkOrHostLocal(address: Address): boolean {
  if (!isIPv4(address)) return address <= 1n || address >> 118n === 0x3fan;
  const word = Number(address & LAST_32_BITS);
  return word === 0 || word >>> 24 === 127 || word >>> 16 === 0xa9fe;
}
