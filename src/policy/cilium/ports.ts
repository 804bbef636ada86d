import type { PortRange } from "../../net/portRange.ts";
import { IGMP, SCTP, TCP, TRANSPORTS, UDP } from "../../net/protocol.ts";
import type { PortMatch } from "../model.ts";
import { type ObjectReader, type Path, quote } from "../objectReader.ts";

/** Protocols of a port by name (Cilium pkg/policy/api ParseL4Proto). ANY, also when nothing is written, is the first three. */
export const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ["TCP", TCP],
  ["UDP", UDP],
  ["SCTP", SCTP],
  ["VRRP", 112],
  ["IGMP", IGMP],
  ["GRE", 47],
  ["IPIP", 4],
  ["IPV6", 41],
  ["ESP", 50],
  ["AH", 51],
]);

/** How many ports one entry of `toPorts`, and fields one entry of `icmps`, may have. */
export const MOST_IN_ENTRY = 40;

/** One entry of `ports`, with what rules on requests ask about it. */
export interface CiliumPort {
  readonly matches: readonly PortMatch[];
  /** The protocol as it is written: rules on requests want TCP in capitals. */
  readonly protocol: string;
  readonly isZero: boolean;
}

/** Returns one entry of `ports` (Cilium PortProtocol.Validate and Sanitize). A port is text: a number, or a name in any case. */
export function readCiliumPort(reader: ObjectReader, value: unknown, path: Path, hasDnsRules: boolean): CiliumPort {
  const fields = reader.mapping(value ?? {}, path, ["port", "endPort", "protocol"]) ?? {};
  const protocol = reader.text(fields.protocol, [...path, "protocol"]) ?? "";
  const numbers = readProtocols(reader, protocol, [...path, "protocol"]);
  const endPort = readInt32(reader, fields.endPort, [...path, "endPort"]) ?? 0;
  const portPath = [...path, "port"];
  const text = reader.text(fields.port, portPath) ?? "";
  const entry = (ports?: PortRange | { readonly name: string }, isZero = false): CiliumPort => {
    return { matches: numbers.map((number) => ({ protocol: number, ...(ports ? { ports } : {}) })), protocol, isZero };
  };
  if (text === "") {
    if (typeof (fields.port ?? "") === "string") reader.error(portPath, "a `port` is required: `0` is every port");
    return entry();
  }
  if (isServiceName(text)) {
    if (endPort !== 0)
      reader.warning([...path, "endPort"], "with a port name only the port of that name is taken, not the range to `endPort`");
    return entry({ name: text.toLowerCase() });
  }
  if (text !== "0" && numbers.length === 1 && !TRANSPORTS.includes(numbers[0]) && protocol === protocol.toUpperCase()) {
    reader.error(portPath, `the protocol ${quote(protocol)} has no ports: write \`0\``);
  }
  const port = parseGoNumber(text);
  if (port === undefined) {
    reader.error(portPath, `${quote(text)} is neither a port number (0..65535) nor a port name of at most 15 letters, digits and -`);
    return entry();
  }
  if (/^0./.test(text)) reader.warning(portPath, `${quote(text)} means port ${port}`);
  if (hasDnsRules && endPort > port) reader.error([...path, "endPort"], "DNS rules take no port range");
  const last = endPort & 0xffff; // Cilium keeps the lower 16 bits
  if (last !== endPort) reader.warning([...path, "endPort"], `the endPort ${quote(endPort)} means ${last}: ports end at 65535`);
  if (last !== 0 && last < port) reader.warning([...path, "endPort"], `the endPort is below the port: only port ${port} is meant`);
  if (port === 0 && (last === 0 || last === 0xffff)) return entry(undefined, true);
  return entry({ first: port, last: Math.max(port, last) }, port === 0);
}

function readProtocols(reader: ObjectReader, written: string, path: Path): readonly number[] {
  const name = written.toUpperCase();
  if (name === "" || name === "ANY") return TRANSPORTS;
  const number = PROTOCOLS.get(name);
  if (number === undefined) {
    const hint = name.startsWith("ICMP") ? "write `icmps` instead" : `it is ${[...PROTOCOLS.keys()].join(", ")} or ANY`;
    reader.error(path, `${quote(written)} is no protocol of a port: ${hint}`);
    return [];
  }
  if (!TRANSPORTS.includes(number)) reader.warning(path, "Cilium knows this protocol only with `enable-extended-ip-protocols`");
  return [number];
}

/** Cilium pkg/iana IsSvcName (RFC 6335, 5.1): a letter somewhere, no - at an end or twice in a row. */
function isServiceName(text: string): boolean {
  return text.length <= 15 && /^[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*$/.test(text) && /[A-Za-z]/.test(text);
}

const DIGITS: Readonly<Record<number, RegExp>> = { 2: /^[01]+$/, 8: /^[0-7]+$/, 10: /^[0-9]+$/, 16: /^[0-9a-f]+$/ };

/** Returns the 16-bit number of a text as Go's strconv.ParseUint(text, 0, 16) reads it: `010` is octal, `1_000` is 1000. */
export function parseGoNumber(text: string): number | undefined {
  const parts = /^(0[xbo]_?|0_?(?=\d))?([0-9a-f]+(?:_[0-9a-f]+)*)$/.exec(text.toLowerCase());
  if (!parts) return undefined;
  const [, prefix = "", written] = parts;
  const base = prefix === "" ? 10 : prefix.startsWith("0x") ? 16 : prefix.startsWith("0b") ? 2 : 8;
  const digits = written.replaceAll("_", "");
  const number = DIGITS[base].test(digits) ? Number.parseInt(digits, base) : 65536;
  return number <= 65535 ? number : undefined;
}

/** Returns a number that Go decodes into 32 bits. */
export function readInt32(reader: ObjectReader, value: unknown, path: Path): number | undefined {
  const number = reader.integer(value, path);
  if (number !== undefined && number !== (number | 0)) reader.error(path, `the number ${quote(number)} does not fit into 32 bits`);
  return number;
}
