import { createCipheriv, createHmac } from "node:crypto";
import { type Address, formatAddress, formatIPv6, isIPv4, parseAddress } from "../net/address.ts";
import { makePrefix, parsePrefix } from "../net/prefix.ts";

/*
 * Prefix-preserving pseudonyms of addresses (Crypto-PAn: Fan, Xu, Ammar, Moon, "Prefix-preserving IP address anonymization", 2004).
 *
 * The addresses of a family are the leaves of a binary tree. At every inner node a keyed bit says whether its two halves change places:
 * bit i of the output is bit i of the input xor a bit that hangs on the key and the first i bits alone. Any such choice is a bijection,
 * and two addresses have a common prefix of n bits afterwards exactly where they had one before, so that a prefix holds the same
 * addresses as ever. Leaving places unchanged is a choice like any other, which is how some ranges stay where they are:
 *
 * - no node on the way to a kept range changes its halves, so that the range is mapped onto itself, and nothing else into it;
 * - nor does any inside of those that are kept address by address.
 */

interface Range {
  readonly bits: bigint;
  readonly length: number;
  /** Whether its addresses stay one by one, or only the range as a whole. */
  readonly isFixed: boolean;
}

const range = (text: string, isFixed: boolean): Range => {
  const { first, length, family } = parsePrefix(text)!;
  return { bits: family === 4 ? first & 0xffffffffn : first, length, isFixed };
};
const fixed = (...texts: readonly string[]): Range[] => texts.map((text) => range(text, true));
const whole = (...texts: readonly string[]): Range[] => texts.map((text) => range(text, false));

interface Family {
  readonly width: number;
  readonly ranges: readonly Range[];
  /** Lengths that pod prefixes commonly have. */
  readonly boundaries: readonly number[];
}

/**
 * Unspecified, loopback, link-local (node-local DNS is known by its address) and multicast stay; private addresses stay private, global
 * ones global, so that nobody's real network is named by chance.
 */
const FAMILIES: Readonly<Record<4 | 6, Family>> = {
  4: {
    width: 32,
    ranges: [
      ...fixed("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"),
      ...whole("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"),
    ],
    boundaries: [16, 24],
  },
  6: {
    width: 128,
    ranges: [
      ...fixed("::/127", "fe80::/10", "ff00::/8"),
      ...whole("2000::/3", "fc00::/7", "fd00::/8"),
      { bits: 0xffffn << 32n, length: 96, isFixed: true },
    ],
    boundaries: [64, 80, 112, 120],
  },
};

/** Replaces addresses for one key. Bit for bit as it says above; IPv4 and IPv6 apart. */
export class AddressRedactor {
  readonly #keys: Readonly<Record<4 | 6, Buffer>>;
  readonly #known = new Map<Address, Address>();

  constructor(key: Uint8Array) {
    const derive = (family: 4 | 6) => createHmac("sha256", key).update(`addresses of IPv${family}`).digest();
    this.#keys = { 4: derive(4), 6: derive(6) };
  }

  /** Returns the pseudonym of an address, of the same family. */
  redact(address: Address): Address {
    const known = this.#known.get(address);
    if (known !== undefined) return known;
    const family = isIPv4(address) ? 4 : 6;
    const { width } = FAMILIES[family];
    const bits = BigInt.asUintN(width, address);
    const made = (address - bits) | (bits ^ this.#flips(family, bits));
    this.#known.set(address, made);
    return made;
  }

  /**
   * Returns the pseudonym of a text that is an address or a prefix (`10.0.0.1`, `10.0.0.0/8`, `10.0.0.1/24`); undefined for any other. A
   * prefix keeps its length, and has host bits only where it had some. What readers refuse stays refused: zones, impossible lengths.
   */
  redactText(text: string): string | undefined {
    const [, written, zone = "", length = ""] = /^([^/%]+)(%[^/]*)?(\/\d{1,3})?$/.exec(text) ?? [];
    if (written === undefined) return undefined;
    // Kubernetes takes 010.0.0.1 in a prefix for 10.0.0.1 (policy/cidr.ts), others refuse it.
    const plain = /^\d{1,20}(?:\.\d{1,20}){3}$/.test(written) ? written.replace(/(^|\.)0+(?=\d)/g, "$1") : written;
    const address = parseAddress(plain);
    if (address === undefined) return undefined;
    const made = length === "" ? this.redact(address) : this.#redactFirst(address, Number(length.slice(1)), written.includes(":"));
    const shown = written.includes(":") ? formatIPv6(made) : formatAddress(made);
    return `${plain === written ? "" : "0"}${shown}${zone === "" ? "" : "%0"}${length}`;
  }

  /** Returns the pseudonym of the address before a slash. */
  #redactFirst(address: Address, length: number, isIPv6Text: boolean): Address {
    // ::ffff:10.0.0.0/104 is 10.0.0.0/8 (Go's netip.Prefix.Masked, and all readers here).
    const isMapped = isIPv6Text && isIPv4(address);
    const [family, own] = isMapped
      ? length >= 96
        ? [4 as const, length - 96]
        : [6 as const, length]
      : [isIPv6Text ? (6 as const) : (4 as const), length];
    if (own < 0 || own > FAMILIES[family].width) return this.redact(address);
    const prefix = makePrefix(address, own, family);
    return prefix.hostBits ? this.redact(address) : makePrefix(this.redact(address), own, family).first;
  }

  /** Returns the bits that change, asked of the cipher for all depths at once. */
  #flips(family: 4 | 6, bits: bigint): bigint {
    const { width } = FAMILIES[family];
    const blocks = Buffer.alloc(16 * width);
    for (let depth = 0; depth < width; depth++) {
      // The first bits, a 1 and zeros: no two nodes have the same text.
      const rest = BigInt(width - depth);
      const node = ((bits >> rest) << rest) | (1n << (rest - 1n));
      blocks.writeBigUInt64BE(node >> 64n, 16 * depth);
      blocks.writeBigUInt64BE(BigInt.asUintN(64, node), 16 * depth + 8);
    }
    const cipher = createCipheriv("aes-256-ecb", this.#keys[family], null).setAutoPadding(false);
    const random = cipher.update(blocks);
    let flips = 0n;
    for (let depth = 0; depth < width; depth++) {
      const bit = random[16 * depth] & 1 && !isKept(FAMILIES[family], bits, depth) ? 1n : 0n;
      flips = (flips << 1n) | bit;
    }
    return flips;
  }
}

/** Reports whether the node at a depth of an address's way down keeps its halves in their places; it looks at the bits before it alone. */
function isKept({ width, ranges, boundaries }: Family, bits: bigint, depth: number): boolean {
  const before = bits >> BigInt(width - depth);
  const isOnWay = ({ bits: other, length, isFixed }: Range) => {
    if (depth < length) return before === other >> BigInt(width - depth);
    return isFixed && bits >> BigInt(width - length) === other >> BigInt(width - length);
  };
  return ranges.some(isOnWay) || boundaries.some((boundary) => boundary <= depth && isFirstOf(width, boundary, bits, depth));
}

/**
 * Bridges, tunnels and management ports have the first addresses of a node's pod prefix, from its address on (cni.ts: gatewayAddresses,
 * ovnNodeSubnets): behind the usual lengths, zeros stay zeros until the first one, and of the last two bits both where all before are zeros.
 */
function isFirstOf(width: number, boundary: number, bits: bigint, depth: number): boolean {
  const end = Math.min(depth, width - 2);
  return BigInt.asUintN(width - boundary, bits) >> BigInt(width - end) === 0n;
}
