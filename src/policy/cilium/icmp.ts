import { ICMP, ICMPV6 } from "../../net/protocol.ts";
import type { PortMatch } from "../model.ts";
import { instead, type ObjectReader, type Path, quote } from "../objectReader.ts";
import { MOST_IN_ENTRY, parseGoNumber, readInt32 } from "./ports.ts";

/** Names of ICMP types as Cilium writes them (pkg/policy/api ICMPField; numbers: IANA). */
const IPV4_TYPES: Readonly<Record<string, number>> = {
  EchoReply: 0,
  DestinationUnreachable: 3,
  Redirect: 5,
  Echo: 8,
  EchoRequest: 8,
  RouterAdvertisement: 9,
  RouterSelection: 10,
  TimeExceeded: 11,
  ParameterProblem: 12,
  Timestamp: 13,
  TimestampReply: 14,
  Photuris: 40,
  ExtendedEchoRequest: 42,
  ExtendedEchoReply: 43,
};
const IPV6_TYPES: Readonly<Record<string, number>> = {
  DestinationUnreachable: 1,
  PacketTooBig: 2,
  TimeExceeded: 3,
  ParameterProblem: 4,
  EchoRequest: 128,
  EchoReply: 129,
  MulticastListenerQuery: 130,
  MulticastListenerReport: 131,
  MulticastListenerDone: 132,
  RouterSolicitation: 133,
  RouterAdvertisement: 134,
  NeighborSolicitation: 135,
  NeighborAdvertisement: 136,
  RedirectMessage: 137,
  RouterRenumbering: 138,
  ICMPNodeInformationQuery: 139,
  ICMPNodeInformationResponse: 140,
  InverseNeighborDiscoverySolicitation: 141,
  InverseNeighborDiscoveryAdvertisement: 142,
  HomeAgentAddressDiscoveryRequest: 144,
  HomeAgentAddressDiscoveryReply: 145,
  MobilePrefixSolicitation: 146,
  MobilePrefixAdvertisement: 147,
  DuplicateAddressRequestCodeSuffix: 157,
  DuplicateAddressConfirmationCodeSuffix: 158,
  ExtendedEchoRequest: 160,
  ExtendedEchoReply: 161,
};

/** Returns what `icmps` lists. The family is IPv4 unless another is written. */
export function readIcmps(reader: ObjectReader, entries: readonly unknown[], path: Path): readonly PortMatch[] {
  return entries.flatMap((entry, index) => {
    const fieldsPath = [...path, index, "fields"];
    const fields = reader.list(reader.mapping(entry ?? {}, [...path, index], ["fields"])?.fields, fieldsPath) ?? [];
    if (fields.length > MOST_IN_ENTRY) reader.error(fieldsPath, `at most ${MOST_IN_ENTRY} ICMP types may be listed here`);
    return fields.map((each, at) => readField(reader, each, [...fieldsPath, at]));
  });
}

function readField(reader: ObjectReader, value: unknown, path: Path): PortMatch {
  const fields = reader.mapping(value ?? {}, path, ["family", "type"]) ?? {};
  const family = reader.text(fields.family, [...path, "family"]) ?? "";
  if (!["", "IPv4", "IPv6"].includes(family)) reader.error([...path, "family"], `${quote(family)} is no IP family: it is IPv4 or IPv6`);
  const protocol = family === "IPv6" ? ICMPV6 : ICMP;
  const type = readType(reader, fields.type, [...path, "type"], protocol === ICMPV6 ? IPV6_TYPES : IPV4_TYPES);
  if (type !== 0) return { protocol, icmp: { type } };
  // Type 0 becomes port 0 of the policy map, and that is its wildcard (Cilium pkg/policy PortRangeToMaskedPorts).
  reader.warning([...path, "type"], "Cilium takes type 0 for every ICMP type");
  return { protocol };
}

/** Returns the type that a number or a name means; what Cilium cannot read as a 16-bit number becomes 0. */
function readType(reader: ObjectReader, value: unknown, path: Path, names: Readonly<Record<string, number>>): number {
  if ((value ?? null) === null) {
    reader.error(path, "a `type` is required: a number or a name such as `EchoRequest`");
    return 1;
  }
  if (typeof value !== "string") {
    const number = readInt32(reader, value, path) ?? 1;
    if (number > 255 || number < 0) reader.warning(path, `no packet has the ICMP type ${quote(number)}: types end at 255`);
    return number >= 0 && number <= 65535 ? number : 0;
  }
  if (Object.hasOwn(names, value)) return names[value];
  if (value === "0" || (/^[+-]?\d+$/.test(value) && Number(value) !== 0)) return parseGoNumber(value) ?? 0;
  reader.error(path, `${quote(value)} is no ICMP type of this family${instead(value, Object.keys(names))}`);
  return 1;
}
