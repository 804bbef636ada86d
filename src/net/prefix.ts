import { type Address, formatAddress, formatIPv6, isIPv4, parseAddress } from "./address.ts";

/** An IP prefix. `first` and `last` are its inclusive bounds; `length` counts bits in the family that it was written in. */
export interface Prefix {
  readonly first: Address;
  readonly last: Address;
  readonly length: number;
  readonly family: 4 | 6;
  /** Whether the text had bits set beyond the prefix length: 10.0.0.1/8 means 10.0.0.0/8. */
  readonly hostBits: boolean;
}

/** Returns the prefix that a text such as `10.0.0.0/8` or `fd00::/8` names, or undefined. A length is required. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = parseAddress(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined;
  const family = text.includes(":") ? 6 : 4;
  const length = Number(digits);
  return length > (family === 4 ? 32 : 128) ? undefined : makePrefix(address, length, family);
}

/** Returns the prefix that holds one address alone. */
export function wholeAddress(address: Address): Prefix {
  return makePrefix(address, isIPv4(address) ? 32 : 128);
}

/** Returns the prefix of the given length (in bits of its family) around an address. */
export function makePrefix(address: Address, length: number, family: 4 | 6 = isIPv4(address) ? 4 : 6): Prefix {
  const hostMask = (1n << BigInt((family === 4 ? 32 : 128) - length)) - 1n;
  const first = address & ~hostMask;
  return { first, last: first | hostMask, length, family, hostBits: first !== address };
}

/** Reports whether an address lies in a prefix. IPv4 addresses lie in no IPv6 prefix, not even in ::/0. */
export function prefixContains(prefix: Prefix, address: Address): boolean {
  return address >= prefix.first && address <= prefix.last && (prefix.family === 4) === isIPv4(address);
}

/** Returns the canonical text of a prefix. */
export function formatPrefix(prefix: Prefix): string {
  return `${prefix.family === 4 ? formatAddress(prefix.first) : formatIPv6(prefix.first)}/${prefix.length}`;
}
