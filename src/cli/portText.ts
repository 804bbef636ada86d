import { hasPorts, ICMP, ICMPV6, isIcmp, protocolNumber, TCP, TRANSPORTS } from "../net/protocol.ts";
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

/** What the ports of an expectation say: all of them, those from `first` to `last` (inclusive; ICMP: type * 256 + code), or a name. */
export type PortsText =
  | { readonly kind: "any" }
  | { readonly kind: "range"; readonly protocol: number; readonly first: number; readonly last: number }
  | { readonly kind: "name"; readonly protocol: number | undefined; readonly name: string };

const LAST_PORT = 65535;

/** Reads what `parsePort` does, and besides ranges (`8000-8100/TCP`), whole protocols (`TCP`) and `any`. */
export function parsePorts(text: string): PortsText {
  if (text === "any" || text === "*") return { kind: "any" };
  const protocol = /^\d+$/.test(text) ? undefined : protocolNumber(text);
  if (protocol !== undefined && TRANSPORTS.includes(protocol)) return { kind: "range", protocol, first: 0, last: LAST_PORT };
  const [, first, last, word] = /^(\d{1,5})-(\d{1,5})(?:\/([^/]*))?$/.exec(text) ?? [];
  if (first !== undefined) {
    const own = word === undefined ? TCP : protocolNumber(word);
    if (own === undefined || !TRANSPORTS.includes(own))
      throw new UsageError(`\`${text}\`: \`${word}\` is no protocol of ports: TCP, UDP or SCTP`);
    const range = { kind: "range", protocol: own, first: Number(first), last: Number(last) } as const;
    if (range.first < 1 || range.last > LAST_PORT) throw new UsageError(`\`${text}\`: ports are 1 to ${LAST_PORT}`);
    if (range.last < range.first) throw new UsageError(`\`${text}\`: the range ends before it begins`);
    return range;
  }
  const port = parsePort(text);
  if (port.kind === "protocol") throw new UsageError(`\`${text}\` has no ports that policies tell apart; write any for all traffic`);
  if (port.kind === "name") return port;
  return { kind: "range", protocol: port.protocol, first: port.port, last: port.port };
}
