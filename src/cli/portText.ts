import { hasPorts, ICMP, ICMPV6, isIcmp, protocolNumber, TCP } from "../net/protocol.ts";
import { portNameFault } from "../policy/names.ts";
import { UsageError } from "./errors.ts";

/** What PORT says: a number, a name that the destination gives one, ICMP's type and code, or a protocol as a whole. */
export type PortText =
  | { readonly kind: "number"; readonly protocol: number; readonly port: number }
  | { readonly kind: "name"; readonly protocol: number | undefined; readonly name: string }
  /** `port` is type * 256 + code. */
  | { readonly kind: "icmp"; readonly protocol: number; readonly port: number }
  | { readonly kind: "protocol"; readonly protocol: number };

const FORMS = "write 8080, 53/UDP, a port's name (http), ICMP, or ICMP/TYPE";

/** The types of echo requests: what ICMP alone stands for. */
const ECHO: Readonly<Record<number, number>> = { [ICMP]: 8, [ICMPV6]: 128 };

/** Reads `PORT[/PROTOCOL]`; TCP where no protocol is said. */
export function parsePort(text: string): PortText {
  const refuse = (why: string) => new UsageError(`\`${text}\`: ${why}; ${FORMS}`);
  const [first, second, third, ...more] = text.split("/");
  if (first === "" || second === "" || more.length > 0) throw refuse("this is no port");
  // Names of protocols are names of ports too (`tcp`), but nobody calls a port so.
  const own = /^\d+$/.test(first) ? undefined : protocolNumber(first);
  if (own !== undefined && isIcmp(own)) return { kind: "icmp", protocol: own, port: icmpNumber(own, second, third, refuse) };
  if (third !== undefined) throw refuse("this is no port");
  if (own !== undefined && !hasPorts(own) && second === undefined) return { kind: "protocol", protocol: own };
  const protocol = second === undefined ? undefined : protocolNumber(second);
  if (second !== undefined && (protocol === undefined || !hasPorts(protocol))) throw refuse(`\`${second}\` is no protocol with ports`);
  if (/^\d+$/.test(first)) {
    const port = Number(first);
    if (port < 1 || port > 65535) throw refuse("ports are 1 to 65535");
    return { kind: "number", protocol: protocol ?? TCP, port };
  }
  const fault = portNameFault(first);
  if (fault !== undefined) throw refuse(`it ${fault}`);
  return { kind: "name", protocol, name: first };
}

function icmpNumber(protocol: number, type: string | undefined, code: string | undefined, refuse: (why: string) => UsageError): number {
  const read = (word: string | undefined, otherwise: number): number => {
    if (word === undefined) return otherwise;
    if (!/^\d{1,3}$/.test(word) || Number(word) > 255) throw refuse("types and codes are 0 to 255");
    return Number(word);
  };
  return read(type, ECHO[protocol]) * 256 + read(code, 0);
}
