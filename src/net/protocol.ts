import { ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE } from "../kernel/constants.ts";

export { ICMP, ICMPV6, IGMP, SCTP, TCP, UDP, UDPLITE } from "../kernel/constants.ts";

/** The protocols whose ports policies and Services can name (Kubernetes API: Protocol). */
export const TRANSPORTS: readonly number[] = [TCP, UDP, SCTP];

const NAMES = new Map([
  [ICMP, "ICMP"],
  [TCP, "TCP"],
  [UDP, "UDP"],
  [ICMPV6, "ICMPv6"],
  [SCTP, "SCTP"],
  [UDPLITE, "UDPLite"],
]);
const NUMBERS = new Map([...NAMES].map(([number, name]) => [name.toLowerCase(), number]));

/** Returns the name of a protocol as reports write it: TCP, UDP, SCTP, UDPLite, ICMP, ICMPv6, else the number in decimal. */
export function protocolName(number: number): string {
  return NAMES.get(number) ?? String(number);
}

/** Returns the number of a protocol written by name (any case) or as a decimal from 0 to 255, else undefined. */
export function protocolNumber(text: string): number | undefined {
  const byName = NUMBERS.get(text.toLowerCase());
  if (byName !== undefined) return byName;
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 256;
  return number <= 255 ? number : undefined;
}

/** Reports whether packets of a protocol carry 16-bit source and destination ports that policies judge. */
export function hasPorts(protocol: number): boolean {
  return protocol === TCP || protocol === UDP || protocol === SCTP || protocol === UDPLITE;
}

/** Reports whether a protocol is ICMP for either address family. */
export function isIcmp(protocol: number): boolean {
  return protocol === ICMP || protocol === ICMPV6;
}
