import { ICMP, ICMPV6, TRANSPORTS } from "../../net/protocol.ts";
import type { L7Match, PortMatch, TextMatch } from "../model.ts";
import { cannotSay, type Plain, writeName } from "./peerWriter.ts";
import { MOST_IN_ENTRY, PROTOCOLS } from "./ports.ts";

const NAMES = new Map([...PROTOCOLS].map(([name, number]) => [number, name]));
const isIcmp = ({ protocol }: PortMatch): boolean => protocol === ICMP || protocol === ICMPV6;

/** Returns the fields of an entry that say which ports: one set for `toPorts` and one for `icmps`, which cannot stand together. */
export function writePorts(ports: "any" | readonly PortMatch[], l7: readonly L7Match[] | undefined): readonly Plain[] {
  if (ports === "any") {
    if (l7) throw cannotSay("what requests may ask without naming ports");
    return [{}];
  }
  const rules = l7 ? writeRequests(l7) : {};
  if (ports.length === 0) return [{ toPorts: [rules] }];
  const icmp = ports.filter(isIcmp).map(writeIcmp);
  const others = joinTransports(ports.filter((port) => !isIcmp(port)));
  if (icmp.length > 0 && l7) throw cannotSay("what ICMP messages may ask");
  return [
    ...(others.length > 0 ? [{ toPorts: chunks(others).map((each) => ({ ports: each, ...rules })) }] : []),
    ...(icmp.length > 0 ? [{ icmps: chunks(icmp).map((fields) => ({ fields })) }] : []),
  ];
}

function chunks<Item>(items: readonly Item[]): Item[][] {
  const count = Math.ceil(items.length / MOST_IN_ENTRY);
  return Array.from({ length: count }, (_, index) => items.slice(index * MOST_IN_ENTRY, (index + 1) * MOST_IN_ENTRY));
}

function writeIcmp({ protocol, icmp, ports }: PortMatch): Plain {
  if (ports || icmp?.code !== undefined) throw cannotSay("ICMP codes");
  if (icmp?.type === 0) throw cannotSay("ICMP type 0 alone: it means every type");
  return { family: protocol === ICMPV6 ? "IPv6" : "IPv4", type: icmp?.type ?? 0 };
}

/** Returns entries of `ports`. The same ports of TCP, UDP and SCTP in a row are those of ANY. */
function joinTransports(ports: readonly PortMatch[]): readonly Plain[] {
  const entries: Plain[] = [];
  for (let index = 0; index < ports.length; index++) {
    const three = ports.slice(index, index + TRANSPORTS.length);
    const isAny =
      three.map(({ protocol }) => protocol).join() === TRANSPORTS.join() &&
      new Set(three.map((each) => JSON.stringify(writePort(each)))).size === 1;
    const protocol = isAny ? "ANY" : NAMES.get(ports[index].protocol);
    if (protocol === undefined) throw cannotSay(`the IP protocol ${ports[index].protocol}`);
    entries.push({ ...writePort(ports[index]), protocol });
    if (isAny) index += TRANSPORTS.length - 1;
  }
  return entries;
}

function writePort({ ports }: PortMatch): Plain {
  if (ports === undefined) return { port: "0" };
  if ("name" in ports) return { port: ports.name };
  const { first, last } = ports;
  return { port: String(first), ...(last === first ? {} : { endPort: last }) };
}

/** Returns the fields of a `toPorts` entry that say what may be asked. */
function writeRequests(l7: readonly L7Match[]): Plain {
  const opaque = l7.filter((each) => each.kind === "opaque").map(({ text }) => parseOpaque(text));
  const whole = opaque.find((each) => Object.keys(each).join() !== "rules" || !(each.rules as Plain).http);
  if (whole) {
    if (l7.length > 1) throw cannotSay("alternatives to what a listener or the names of servers decide");
    return whole;
  }
  const dns = l7.flatMap((each) => (each.kind === "dns" ? [writeName(each.names.text)] : []));
  const http = l7.flatMap((each): unknown[] => {
    if (each.kind === "http") return [writeHttp(each)];
    return each.kind === "opaque" ? ((parseOpaque(each.text).rules as Plain).http as unknown[]) : [];
  });
  if (dns.length > 0 && http.length > 0) throw cannotSay("rules on DNS and on HTTP at the same ports");
  if (http.length > 0) return { rules: { http } };
  return { rules: { dns: dns.length > 0 ? dns : [{}] } };
}

/** The text of an opaque alternative is what the reader found, as JSON. */
function parseOpaque(text: string): Plain {
  try {
    const read: unknown = JSON.parse(text);
    if (typeof read === "object" && read !== null) return read as Plain;
  } catch {
    // Not written by this dialect's reader.
  }
  throw cannotSay("what a rule of another dialect asks of requests");
}

function writeHttp({ method, path, host, headers = [] }: Extract<L7Match, { kind: "http" }>): Plain {
  // `Name: value` is parted at the first space, and colons before it are dropped; a list of mappings has no empty values.
  const isLine = ({ name, value }: { name: string; value?: string }) => !name.includes(" ") && (value === undefined || !name.endsWith(":"));
  const odd = headers.findIndex((each) => !isLine(each));
  const lines = odd < 0 ? headers : headers.slice(0, odd);
  const rest = headers.slice(lines.length);
  if (rest.some(({ value }) => value === "")) throw cannotSay("that a header with such a name is empty");
  return {
    ...writeText("method", method),
    ...writeText("path", path),
    ...writeText("host", host),
    ...(lines.length > 0 ? { headers: lines.map(({ name, value }) => (value === undefined ? name : `${name}: ${value}`)) } : {}),
    ...(rest.length > 0 ? { headerMatches: rest } : {}),
  };
}

function writeText(name: string, match: TextMatch | undefined): Plain {
  if (match === undefined) return {};
  if ("regex" in match) return { [name]: match.regex };
  const literal = ("exact" in match ? match.exact : match.prefix).replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
  return { [name]: "exact" in match ? literal : `${literal}.*` };
}
