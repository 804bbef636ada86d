import { idOf } from "./addresses";
import {
  ACCEPTED,
  AH,
  ARP,
  COPIES,
  COPIES_EXPECTED,
  CUT,
  DIRECTED,
  DNS_PORT,
  ERROR_SENT_TO_B,
  EVERY_REQUEST,
  FINISHED,
  FIRST_NS,
  FIRST_SECONDS,
  GRE,
  HAS_ISN,
  ICMP,
  ICMP_CODE_SHIFT,
  ICMP_ERROR,
  ICMP_TYPE_SHIFT,
  ICMPV6,
  IGMP,
  IP_IN_IP,
  IPV6_IN_IP,
  ISN,
  LINK_ETHERNET,
  LINK_IPV4,
  LINK_IPV6,
  LINK_LINUX_SLL,
  LINK_LINUX_SLL2,
  LINK_LOOP,
  LINK_NULL,
  LINK_RAW,
  LINK_RAW_BSD,
  LINK_RAW_OPENBSD,
  LINK_TYPE,
  LOOKED,
  MALFORMED,
  NO_NEXT_HEADER,
  NOT_IP,
  ONE_WAY,
  OPENED,
  PROHIBITED_BY_ERROR,
  REFUSED_BY_ERROR,
  RESET,
  REUSED_ADDRESS,
  SCTP,
  SKIPPED,
  SKIPS,
  SPOKE,
  STATE,
  TCP,
  TOO_DEEP,
  UDP,
  UDPLITE,
  UNREACHED_BY_ERROR,
  UPKEEP,
  WORDS_ARE_IDS,
} from "./constants";
import * as table from "./flowTable";
import { changedHands, firstFragment, laterFragment, look, lookAgain, lookAtQuery, readDns } from "./host";
import { allocate, state } from "./memory";
import { hasPorts, isIcmp } from "./protocols";
import { isSeenTwice, startLooking } from "./seenTwice";

/*
 * Turns frames into rows of the flow table. Encapsulation (802.1Q, QinQ, VXLAN, Geneve, GRE, IP-in-IP, 6in4) is looked through: the
 * innermost addresses count, with the bytes of the whole frame. Variables stand for the packet at hand; functions call each other down the
 * layers. A frame lies from `at` up to `end` in memory: everything is read below `end` only.
 */

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_TRANSPARENT_BRIDGING = 0x6558;
const ETHERTYPE_IPV6 = 0x86dd;

const VXLAN_PORT = 4789;
const VXLAN_LINUX_PORT = 8472; // flannel and Cilium
const GENEVE_PORT = 6081;

/** Deeper nesting than real networks have: VLAN, tunnel in tunnel, IPv6 in IPv4 and the like each take one. */
const MAX_DEPTH = 8;
const HINTED_BITS = 14;
const ERRORS = REFUSED_BY_ERROR | UNREACHED_BY_ERROR | PROHIBITED_BY_ERROR | ERROR_SENT_TO_B;
const ANSWERED = ACCEPTED | (ACCEPTED << 1) | SPOKE | (SPOKE << 1) | RESET | (RESET << 1);

/** Client, server and port of hints that are there already, by a hash: a forgotten one is only looked at again. */
let hinted: usize = 0;

let end: usize = 0;
let wire: u32 = 0;
let seconds: u32 = 0;
let nanoseconds = 0;
let place = 0;
let depth = 0;
let source = 0;
let destination = 0;
let family = 0;
let identification = 0;
let hops = 0;
/** Whether the packet at hand is the first fragment of a datagram, and which: that of the outermost header that is cut up. */
let isFirstFragment = false;
let fragmentSource = 0;
let fragmentDestination = 0;
let fragmentKind = 0;
let fragmentIdentification = 0;

/** Forgets what earlier packets left, save the table: an observation begins. */
export function beginObservation(): void {
  if (hinted === 0) hinted = allocate(HINTED_BITS + 2);
  memory.fill(hinted, 0, 4 << HINTED_BITS);
  memory.fill(state + (COPIES_EXPECTED << 2), 0, (SKIPPED - COPIES_EXPECTED + 2 * SKIPS) << 2);
}

/** From here on, packets may be captured at several places: copies are looked for. */
export function expectCopies(): void {
  if (areCopiesExpected()) return;
  startLooking();
  store<i32>(state, 1, COPIES_EXPECTED << 2);
}

/**
 * Decodes one frame of `captured` bytes at an address, `bytes` long on the wire, and counts it in its connection. `interfacePlace` tells
 * apart where it was captured.
 */
export function decode(at: usize, captured: u32, bytes: u32, link: i32, interfacePlace: i32, atSeconds: u32, atNanoseconds: i32): void {
  end = at + captured;
  wire = bytes;
  seconds = atSeconds;
  nanoseconds = atNanoseconds;
  place = interfacePlace;
  depth = 0;
  isFirstFragment = false;
  if (link === LINK_ETHERNET) ethernet(at);
  else otherLink(link, at);
}

function byte(at: usize): i32 {
  return <i32>load<u8>(at);
}

/** Returns the 16-bit big-endian number at an address. */
function half(at: usize): i32 {
  return ((<i32>load<u8>(at)) << 8) | <i32>load<u8>(at, 1);
}

/** Returns the signed 32-bit big-endian word at an address. */
function word(at: usize): i32 {
  return bswap<i32>(load<i32>(at));
}

function areCopiesExpected(): bool {
  return load<i32>(state, COPIES_EXPECTED << 2) !== 0;
}

function wantsEveryRequest(): bool {
  return load<i32>(state, EVERY_REQUEST << 2) !== 0;
}

function skip(reason: i32): void {
  countOne(SKIPPED + 2 * reason);
}

function countOne(stateWord: i32): void {
  const at = state + (stateWord << 2);
  store<f64>(at, load<f64>(at) + 1);
}

function otherLink(link: i32, at: usize): void {
  switch (link) {
    case LINK_LINUX_SLL:
      if (at + 16 > end) return skip(CUT);
      place = -1;
      expectCopies();
      return network(half(at + 14), at + 16);
    case LINK_LINUX_SLL2:
      if (at + 20 > end) return skip(CUT);
      // Interface number and packet type (to us, outgoing, …) are the place: one packet passes a bridge both ways.
      place = (half(at + 6) << 11) | (byte(at + 10) << 8) | (place & 255);
      expectCopies();
      return network(half(at), at + 20);
    case LINK_NULL:
    case LINK_LOOP: {
      if (at + 4 > end) return skip(CUT);
      // BSD loopback: the address family in the byte order of the capturing host (NULL) or the network (LOOP).
      const addressFamily = byte(at) | byte(at + 3);
      if (addressFamily === 2) return network(ETHERTYPE_IPV4, at + 4);
      const isIPv6 = addressFamily === 10 || addressFamily === 24 || addressFamily === 28 || addressFamily === 30;
      return network(isIPv6 ? ETHERTYPE_IPV6 : 0, at + 4);
    }
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_IPV4:
    case LINK_IPV6:
      return ip(at);
    default:
      return skip(LINK_TYPE);
  }
}

function ethernet(at: usize): void {
  if (at + 14 > end) return skip(CUT);
  network(half(at + 12), at + 14);
}

function network(type: i32, at: usize): void {
  // 802.1Q, 802.1ad and the older QinQ type; a frame that is all tags ends at its captured length.
  while (type === 0x8100 || type === 0x88a8 || type === 0x9100) {
    if (at + 4 > end) return skip(CUT);
    type = half(at + 2);
    at += 4;
  }
  if (type === ETHERTYPE_IPV4) ipv4(at);
  else if (type === ETHERTYPE_IPV6) ipv6(at);
  else skip(type === ETHERTYPE_ARP ? ARP : NOT_IP);
}

/** IP of either version, told by its first four bits. */
function ip(at: usize): void {
  if (at >= end) return skip(CUT);
  const version = byte(at) >> 4;
  if (version === 4) ipv4(at);
  else if (version === 6) ipv6(at);
  else skip(NOT_IP);
}

function ipv4(at: usize): void {
  if (at + 20 > end) return skip(CUT);
  const first = byte(at);
  const headerBytes = (first & 15) << 2;
  if (first >> 4 !== 4 || headerBytes < 20) return skip(MALFORMED);
  const totalBytes = half(at + 2);
  // Zero is segmentation offload (the real length did not fit); else link padding beyond it is no part of the packet.
  if (totalBytes !== 0) {
    if (totalBytes < headerBytes) return skip(MALFORMED);
    end = min<usize>(end, at + totalBytes);
  }
  source = word(at + 12);
  destination = word(at + 16);
  family = 0;
  identification = half(at + 4);
  const protocol = byte(at + 9);
  const fragment = half(at + 6) & 0x3fff;
  if ((fragment & 0x1fff) !== 0) return onLaterFragment(protocol, fragment);
  hops = byte(at + 8);
  if (fragment !== 0) beginFragments(protocol);
  transport(protocol, at + headerBytes);
}

function ipv6(at: usize): void {
  if (at + 40 > end) return skip(CUT);
  if (byte(at) >> 4 !== 6) return skip(MALFORMED);
  const payloadBytes = half(at + 4);
  if (payloadBytes !== 0) end = min<usize>(end, at + 40 + payloadBytes);
  setAddressIds(at);
  identification = 0;
  hops = byte(at + 7);
  let next = byte(at + 6);
  at += 40;
  // Extension headers (RFC 8200 section 4): each takes at least 8 bytes, so the packet's end bounds the walk.
  for (;;) {
    if (next === 0 || next === 43 || next === 60 || next === 135 || next === 139 || next === 140) {
      if (at + 8 > end) return skip(CUT);
      next = byte(at);
      at += (byte(at + 1) + 1) << 3;
    } else if (next === 44) {
      if (at + 8 > end) return skip(CUT);
      const fragment = half(at + 2);
      identification = word(at + 4);
      next = byte(at);
      if (fragment >>> 3 !== 0) return onLaterFragment(next, fragment);
      if ((fragment & 1) !== 0) beginFragments(next);
      at += 8;
    } else return transport(next, at);
  }
}

/** Takes the addresses of the IPv6 header at an address: words are ids of the address table. */
function setAddressIds(at: usize): void {
  source = idOf(word(at + 8), word(at + 12), word(at + 16), word(at + 20));
  destination = idOf(word(at + 24), word(at + 28), word(at + 32), word(at + 36));
  family = WORDS_ARE_IDS;
}

/** Later fragments carry no ports: they are found by what the first one's header says. */
function beginFragments(protocol: i32): void {
  if (isFirstFragment) return;
  isFirstFragment = true;
  fragmentSource = source;
  fragmentDestination = destination;
  fragmentKind = protocol | family;
  fragmentIdentification = identification;
}

function onLaterFragment(protocol: i32, position: i32): void {
  if (areCopiesExpected() && isCopy(protocol, end, position)) return;
  laterFragment(source, destination, protocol | family, identification, wire, seconds, nanoseconds);
}

function transport(protocol: i32, at: usize): void {
  if (protocol === TCP) return tcp(at);
  if (protocol === UDP) return udp(at);
  switch (protocol) {
    case ICMP:
    case ICMPV6:
      return icmp(protocol, at);
    case SCTP:
      return sctp(at);
    case UDPLITE:
      return udpLite(at);
    case IGMP:
      return skip(UPKEEP);
    case IP_IN_IP:
    case IPV6_IN_IP:
      if (++depth > MAX_DEPTH) return skip(TOO_DEEP);
      return ip(at);
    case GRE:
      return gre(at);
    case AH: {
      // RFC 4302: the length counts 32-bit words less two; what follows is in the clear.
      if (at + 8 > end) return skip(CUT);
      if (++depth > MAX_DEPTH) return skip(TOO_DEEP);
      return transport(byte(at), at + ((byte(at + 1) + 2) << 2));
    }
    case NO_NEXT_HEADER:
      return skip(NOT_IP);
    default:
      return portless(protocol, at);
  }
}

/** Reports whether a row is of an address that belongs to another party now. */
function hasChangedHands(row: i32): bool {
  return (table.get(row, STATE) & REUSED_ADDRESS) !== 0 && changedHands(row, seconds);
}

/** Counts the packet in the row of its tuple, which is made where it is new. Returns the row, or -1 for a copy. */
function record(sourcePort: i32, destinationPort: i32, kind: i32, at: usize, sequence: i32): i32 {
  if (areCopiesExpected() && isCopy(kind, at, sequence)) return -1;
  let row = table.locate(source, destination, sourcePort, destinationPort, kind);
  if (row < 0 || hasChangedHands(row)) row = table.add(source, destination, sourcePort, destinationPort, kind, seconds, nanoseconds);
  if (isForwarded(row, at, sequence)) return -1;
  countIn(row, table.side());
  return row;
}

/**
 * A router's own interface shows a packet coming in and, one hop less, going out again. The first such pair says that this capture has
 * copies; from then on all are looked for, also those that do not follow each other at once.
 */
function isForwarded(row: i32, at: usize, sequence: i32): bool {
  const print = ((source * 0x85ebca6b) ^ (sequence * 0x27d4eb2f) ^ (identification * 0x165667b1) ^ (<i32>(end - at) * 0x9e3779b1)) & ~255;
  if (!table.isForwarded(row, print | hops) || areCopiesExpected()) return false;
  expectCopies();
  countOne(COPIES);
  return true;
}

function countIn(row: i32, side: i32): void {
  table.count(row, side, wire, seconds, nanoseconds);
  if (!isFirstFragment) return;
  isFirstFragment = false;
  firstFragment(fragmentSource, fragmentDestination, fragmentKind, fragmentIdentification, row, side, seconds);
}

function tcp(at: usize): void {
  if (at + 4 > end) return skip(CUT);
  const sourcePort = half(at);
  const destinationPort = half(at + 2);
  const kind = TCP | family;
  if (at + 14 > end) {
    record(sourcePort, destinationPort, kind, at, 0);
    return;
  }
  const flags = byte(at + 13);
  const sequence = word(at + 4);
  const opening = (flags & 0x12) === 0x02;
  if (areCopiesExpected() && isCopy(kind, at, sequence)) return;
  let row = table.locate(source, destination, sourcePort, destinationPort, kind);
  if (row < 0 || beginsAnew(row, table.side(), opening, sequence))
    row = table.add(source, destination, sourcePort, destinationPort, kind, seconds, nanoseconds);
  const side = table.side();
  if (isForwarded(row, at, sequence)) return;
  countIn(row, side);
  if (opening) opened(row, OPENED << side, sequence);
  else if ((flags & 0x12) === 0x12) opened(row, ACCEPTED << side, word(at + 8) - 1);
  else if ((flags & 0x04) !== 0) table.setState(row, RESET << side);
  else table.setState(row, ((flags & 0x10) !== 0 ? SPOKE << side : 0) | ((flags & 0x01) !== 0 ? FINISHED << side : 0));
  const payload = at + ((byte(at + 12) >> 4) << 2);
  if (payload >= end) return;
  if ((table.get(row, STATE) & (LOOKED << side)) === 0) lookAtFirst(row, side, payload, sourcePort, destinationPort);
  else if (wantsEveryRequest() && destinationPort !== DNS_PORT) lookAgain(row, payload, end);
}

/**
 * Reports whether a segment belongs to a new connection of a tuple that was used before: a SYN with another initial sequence number
 * (RFC 9293 section 3.4.1), or one that comes after other segments of a connection whose own SYN was never seen, or an address that
 * changed hands.
 */
function beginsAnew(row: i32, side: i32, opening: bool, sequence: i32): bool {
  if (hasChangedHands(row)) return true;
  if (!opening) return false;
  const bits = table.get(row, STATE);
  if ((bits & HAS_ISN) !== 0) {
    if (table.get(row, ISN) === sequence) return false;
    // Both ends opening at once (RFC 9293 section 3.5) is one connection.
    return (bits & (OPENED << side)) !== 0 || (bits & ANSWERED) !== 0;
  }
  // A SYN that the capture holds after later segments of its own connection: order within one file is not strict.
  const first = <u32>table.get(row, FIRST_SECONDS);
  return seconds > first || (seconds === first && nanoseconds > table.get(row, FIRST_NS));
}

function opened(row: i32, bits: i32, initialSequence: i32): void {
  if ((table.get(row, STATE) & HAS_ISN) === 0) table.set(row, ISN, initialSequence);
  table.setState(row, bits | HAS_ISN);
}

function udp(at: usize): void {
  if (at + 4 > end) return skip(CUT);
  const sourcePort = half(at);
  const destinationPort = half(at + 2);
  if (destinationPort === VXLAN_PORT || destinationPort === VXLAN_LINUX_PORT || destinationPort === GENEVE_PORT) {
    if (tunnel(destinationPort, at + 8)) return;
  }
  const row = record(sourcePort, destinationPort, UDP | family, at, 0);
  if (row < 0) return;
  table.setState(row, SPOKE << table.side());
  // Whoever goes on after an error has not ended: the server came back, or the error was no answer to it.
  const bits = table.get(row, STATE);
  if ((bits & ERRORS) !== 0) table.set(row, STATE, bits & ~ERRORS);
  if (at + 8 >= end) return;
  if (sourcePort === DNS_PORT) readDns(at + 8, end);
  else if (destinationPort === DNS_PORT && wantsEveryRequest()) lookAtQuery(row, at + 8, end);
}

/** Looks through VXLAN (RFC 7348) or Geneve (RFC 8926). Reports false where the payload is neither. */
function tunnel(port: i32, at: usize): bool {
  if (at + 8 > end) return false;
  if (port === GENEVE_PORT) {
    if (byte(at) >> 6 !== 0) return false;
    const type = half(at + 2);
    const inner = at + 8 + ((byte(at) & 0x3f) << 2);
    if (type === ETHERTYPE_TRANSPARENT_BRIDGING) return inside(inner, true);
    return (type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6) && inside(inner, false);
  }
  // The I flag (and G of the group policy extension); the rest is reserved and zero: other programs use these ports too.
  if ((byte(at) & 0x7f) !== 0x08 || byte(at + 7) !== 0) return false;
  return inside(at + 8, true);
}

function inside(at: usize, isEthernet: bool): bool {
  if (++depth > MAX_DEPTH) skip(TOO_DEEP);
  else if (isEthernet) ethernet(at);
  else ip(at);
  return true;
}

/** Looks through GRE (RFC 2784, 2890): optional checksum, key and sequence number. Other payloads than IP are a flow of their own. */
function gre(at: usize): void {
  if (at + 4 > end) return skip(CUT);
  const flags = byte(at);
  const version = byte(at + 1) & 7;
  const type = half(at + 2);
  if (version === 0 && (type === ETHERTYPE_TRANSPARENT_BRIDGING || type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6)) {
    inside(at + 4 + ((flags >> 5) & 4) + ((flags >> 3) & 4) + ((flags >> 2) & 4), type === ETHERTYPE_TRANSPARENT_BRIDGING);
    return;
  }
  portless(GRE, at);
}

/** RFC 3828: ports as UDP has them. */
function udpLite(at: usize): void {
  if (at + 8 > end) return skip(CUT);
  const kind = UDPLITE | family;
  if (areCopiesExpected() && isCopy(kind, at, 0)) return;
  const sourcePort = half(at);
  const destinationPort = half(at + 2);
  let row = table.locate(source, destination, sourcePort, destinationPort, kind);
  if (row < 0) row = table.add(source, destination, sourcePort, destinationPort, kind, seconds, nanoseconds);
  const side = table.side();
  countIn(row, side);
  table.setState(row, SPOKE << side);
}

function sctp(at: usize): void {
  if (at + 4 > end) return skip(CUT);
  const sourcePort = half(at);
  const destinationPort = half(at + 2);
  const kind = SCTP | family;
  // RFC 9260 section 3: common header of 12 bytes, then chunks; INIT and INIT ACK carry the initiate tag at 4.
  const chunk = at + 16 <= end ? byte(at + 12) : -1;
  const hasTag = at + 20 <= end;
  const isInit = chunk === 1 && hasTag;
  const initiateTag = isInit ? word(at + 16) : 0;
  if (areCopiesExpected() && isCopy(kind, at, 0)) return;
  let row = table.locate(source, destination, sourcePort, destinationPort, kind);
  if (row < 0 || beginsAnew(row, table.side(), isInit, initiateTag))
    row = table.add(source, destination, sourcePort, destinationPort, kind, seconds, nanoseconds);
  const side = table.side();
  countIn(row, side);
  if (isInit) opened(row, OPENED << side, initiateTag);
  else if (chunk === 2 && hasTag) opened(row, ACCEPTED << side, word(at + 4));
  else if (chunk === 6) table.setState(row, RESET << side);
  else table.setState(row, SPOKE << side);
}

/** A protocol without ports (ESP, GRE with other payloads, …): one connection a pair of addresses. */
function portless(protocol: i32, at: usize): void {
  record(0, 0, protocol | family, at, 0);
}

/** Returns the KIND of ICMP messages of a type and code. Echo replies are filed under their request. */
function icmpKind(protocol: i32, type: i32, code: i32): i32 {
  return protocol | (type << ICMP_TYPE_SHIFT) | (code << ICMP_CODE_SHIFT);
}

function icmp(protocol: i32, at: usize): void {
  if (at + 2 > end) return skip(CUT);
  const type = byte(at);
  const code = byte(at + 1);
  if (protocol === ICMPV6) {
    // RFC 4443 section 2.1: types below 128 are errors. 130-137, 141-143, 148-153: MLD, neighbour and router discovery.
    if (type < 128) return icmpError(protocol, type, code, at);
    if (type === 128 || type === 129) return echo(protocol, 128, type === 129, at);
    if ((type >= 130 && type <= 137) || (type >= 141 && type <= 143) || (type >= 148 && type <= 153)) return skip(UPKEEP);
  } else {
    if (type === 3 || type === 4 || type === 5 || type === 11 || type === 12) return icmpError(protocol, type, code, at);
    if (type === 8 || type === 0) return echo(protocol, 8, type === 0, at);
    // Timestamp, information and address mask: the reply's type is one more than the request's.
    if (type >= 13 && type <= 18) return echo(protocol, type - 1 + (type & 1), (type & 1) === 0, at);
    if (type === 9 || type === 10) return skip(UPKEEP);
  }
  record(0, 0, icmpKind(protocol, type, code) | family | ONE_WAY, at, 0);
}

/** A reply is filed under its request: ends that ping each other with one identifier are two connections. */
function echo(protocol: i32, requestType: i32, isReply: bool, at: usize): void {
  const identifier = at + 6 <= end ? half(at + 4) : 0;
  const sequence = at + 8 <= end ? half(at + 6) : 0;
  const kind = icmpKind(protocol, requestType, 0) | family | DIRECTED;
  if (areCopiesExpected() && isCopy(kind ^ (isReply ? 1 << 30 : 0), at, sequence)) return;
  const from = isReply ? destination : source;
  const to = isReply ? source : destination;
  let row = table.locate(from, to, identifier, identifier, kind);
  if (row < 0 || hasChangedHands(row)) row = table.add(from, to, identifier, identifier, kind, seconds, nanoseconds);
  const requester = table.side();
  if (isForwarded(row, at, sequence)) return;
  const sender = isReply ? 1 - requester : requester;
  countIn(row, sender);
  table.setState(row, (isReply ? ACCEPTED : OPENED) << sender);
}

/** An error belongs to the connection whose packet it quotes (RFC 792, RFC 4443); when that is not known it stands alone. */
function icmpError(protocol: i32, type: i32, code: i32, at: usize): void {
  const outerSource = source;
  const outerDestination = destination;
  const outerFamily = family;
  if (areCopiesExpected() && isCopy(icmpKind(protocol, type, code), at, 0)) return;
  const row = isFirstFragment ? -1 : quotedRow(at + 8);
  if (row >= 0) {
    // It says how that connection ended and is no packet of it.
    const meaning = errorMeaning(protocol, type, code);
    if (meaning !== 0) table.setState(row, meaning | (table.side() === 1 ? ERROR_SENT_TO_B : 0));
    return skip(ICMP_ERROR);
  }
  source = outerSource;
  destination = outerDestination;
  family = outerFamily;
  const own = icmpKind(protocol, type, code) | family | ONE_WAY;
  let found = table.locate(source, destination, 0, 0, own);
  if (found < 0) found = table.add(source, destination, 0, 0, own, seconds, nanoseconds);
  countIn(found, table.side());
}

/** Returns the row of the packet quoted at an address, or -1; the table's side is then that of the quoted packet's sender. */
function quotedRow(at: usize): i32 {
  if (at >= end) return -1;
  const version = byte(at) >> 4;
  let protocol: i32;
  let ports: usize;
  if (version === 4 && at + 20 <= end) {
    if ((half(at + 6) & 0x1fff) !== 0) return -1;
    protocol = byte(at + 9);
    ports = at + ((byte(at) & 15) << 2);
    source = word(at + 12);
    destination = word(at + 16);
    family = 0;
  } else if (version === 6 && at + 40 <= end) {
    protocol = byte(at + 6);
    ports = at + 40;
    setAddressIds(at);
  } else return -1;
  if (hasPorts(protocol)) {
    if (ports + 4 > end) return -1;
    return table.locate(source, destination, half(ports), half(ports + 2), protocol | family);
  }
  if (isIcmp(protocol)) {
    if (ports + 6 > end) return -1;
    const identifier = half(ports + 4);
    const kind = icmpKind(protocol, protocol === ICMP ? 8 : 128, 0) | family | DIRECTED;
    return table.locate(source, destination, identifier, identifier, kind);
  }
  return table.locate(source, destination, 0, 0, protocol | family);
}

/** Returns what an ICMP error says of the connection that it quotes, as a state bit; 0 for errors that do not end it. */
function errorMeaning(protocol: i32, type: i32, code: i32): i32 {
  if (protocol === ICMP) {
    if (type !== 3 || code === 4) return type === 11 && code === 0 ? UNREACHED_BY_ERROR : 0;
    if (code === 9 || code === 10 || code === 13) return PROHIBITED_BY_ERROR; // RFC 1812 section 5.2.7.1
    return code === 2 || code === 3 ? REFUSED_BY_ERROR : UNREACHED_BY_ERROR;
  }
  if (type !== 1) return type === 3 && code === 0 ? UNREACHED_BY_ERROR : 0;
  if (code === 1 || code === 5 || code === 6) return PROHIBITED_BY_ERROR; // RFC 4443 section 3.1
  return code === 4 ? REFUSED_BY_ERROR : UNREACHED_BY_ERROR;
}

/** Looks at the first payload that a side sends on a connection. One hint is enough for a client, server and port, unless all are wanted. */
function lookAtFirst(row: i32, side: i32, at: usize, sourcePort: i32, destinationPort: i32): void {
  table.setState(row, LOOKED << side);
  if (sourcePort === DNS_PORT) {
    // RFC 1035 section 4.2.2: over TCP a message is preceded by its length.
    if (at + 2 < end) readDns(at + 2, end);
    return;
  }
  if (destinationPort === DNS_PORT) {
    if (wantsEveryRequest()) lookAtQuery(row, at + 2, end);
    return;
  }
  // A TLS handshake record, or a method in capitals: most payloads begin neither.
  const first = byte(at);
  if (first !== 0x16 && (first < 0x41 || first > 0x5a)) return;
  const key = (source * 0x9e3779b1) ^ (destination * 0x85ebca6b) ^ destinationPort ^ family;
  const slot = hinted + ((<usize>((key ^ (key >>> 15)) & ((1 << HINTED_BITS) - 1))) << 2);
  // At an address that changed hands it is another client or server that is met.
  const isKnown = load<i32>(slot) === key && !wantsEveryRequest() && (table.get(row, STATE) & REUSED_ADDRESS) === 0;
  if (!isKnown && look(row, at, end)) store<i32>(slot, key);
}

/** Reports whether the packet is a copy, by what no hop changes: addresses, identification, ports, sequence and lengths. */
function isCopy(kind: i32, at: usize, sequence: i32): bool {
  const length = <i32>(end - at);
  const ports = length >= 4 ? word(at) : 0;
  let low = (source * 0x9e3779b1) ^ (destination * 0x85ebca6b) ^ (ports * 0xc2b2ae35) ^ kind;
  let high = (sequence * 0x27d4eb2f) ^ (identification * 0x165667b1) ^ (length * 0x9e3779b1);
  // TCP's acknowledgement, flags and window; UDP's and ICMP's first data. Checksums are left out: offloading fills them in late.
  const protocol = kind & 255;
  const from = protocol === TCP || protocol === UDP || protocol === ICMP || protocol === ICMPV6 ? at + 8 : at + 12;
  if (from + 4 <= end) low = (low ^ word(from)) * 0x2c1b3c6d;
  if (from + 8 <= end) high = (high ^ word(from + 4)) * 0x297a2d39;
  // TCP time stamps (or the first options and data) tell a repeated segment from a copy where IPv6 has no identification.
  if (protocol === TCP && at + 32 <= end) high = (high ^ word(at + 24) ^ word(at + 28)) * 0x1b873593;
  low ^= low >>> 15;
  // Coming in and going out of one interface, one hop less, are two places.
  const seenAt = place < 0 ? -1 : (place * 257 + hops) & 0x7fffffff;
  const copy = isSeenTwice(low, high, seenAt, seconds, nanoseconds);
  if (copy) countOne(COPIES);
  return copy;
}
