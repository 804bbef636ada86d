import {
  ACCEPTED,
  DIRECTED,
  ERROR_SENT_TO_B,
  FINISHED,
  type FlowTable,
  HAS_ISN,
  ISN,
  icmpKind,
  LOOKED,
  ONE_WAY,
  OPENED,
  PROHIBITED_BY_ERROR,
  REFUSED_BY_ERROR,
  RESET,
  REUSED_ADDRESS,
  SPOKE,
  STATE,
  UNREACHED_BY_ERROR,
  WORDS_ARE_IDS,
} from "../flow/flowTable.ts";
import { type L7Hint, L7Hints } from "../flow/hints.ts";
import type { NameTable } from "../flow/names.ts";
import { hasPorts, ICMP, ICMPV6, IGMP, SCTP, TCP, UDP, UDPLITE } from "../net/protocol.ts";
import type { PacketSink } from "./captureFormat.ts";
import { DnsReader, readQueryName } from "./dns.ts";
import { Fragments } from "./fragments.ts";
import { readHttpRequest } from "./http.ts";
import { SeenTwice } from "./seenTwice.ts";
import { ARP, CUT, ICMP_ERROR, LINK_TYPE, MALFORMED, NOT_IP, OUTSIDE_WINDOW, SKIP_REASONS, TOO_DEEP, UPKEEP } from "./skipReasons.ts";
import { readServerName } from "./tls.ts";

/** Link types (tcpdump.org/linktypes.html) that are read. */
export const LINK = {
  NULL: 0,
  ETHERNET: 1,
  RAW_BSD: 12,
  RAW_OPENBSD: 14,
  RAW: 101,
  LOOP: 108,
  LINUX_SLL: 113,
  IPV4: 228,
  IPV6: 229,
  LINUX_SLL2: 276,
} as const;
export const SUPPORTED_LINKS: ReadonlySet<number> = new Set(Object.values(LINK));

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_TRANSPARENT_BRIDGING = 0x6558;
const ETHERTYPE_IPV6 = 0x86dd;

const IP_IN_IP = 4;
const IPV6_IN_IP = 41;
const GRE = 47;
const AH = 51;
const NO_NEXT_HEADER = 59;

const VXLAN_PORT = 4789;
const VXLAN_LINUX_PORT = 8472; // flannel and Cilium
const GENEVE_PORT = 6081;
const DNS_PORT = 53;

/** Deeper nesting than real networks have: VLAN, tunnel in tunnel, IPv6 in IPv4 and the like each take one. */
const MAX_DEPTH = 8;
const HINTED = 1 << 14;
const ERRORS = REFUSED_BY_ERROR | UNREACHED_BY_ERROR | PROHIBITED_BY_ERROR | ERROR_SENT_TO_B;

/**
 * Turns frames into rows of a flow table. Encapsulation (802.1Q, QinQ, VXLAN, Geneve, GRE, IP-in-IP, 6in4) is looked through:
 * the innermost addresses count, with the bytes of the whole frame. Fields stand for the packet at hand, so that nothing is
 * allocated for one; the methods call each other down the layers.
 */
export class PacketDecoder implements PacketSink {
  readonly skipped = new Float64Array(SKIP_REASONS.length);
  readonly hints = new L7Hints();
  readonly fragments = new Fragments();
  copies = 0;

  readonly #table: FlowTable;
  readonly #names: NameTable;
  /** Inclusive bounds of the time window, in epoch seconds; undefined: everything counts. */
  readonly #window: { readonly since: number; readonly until: number } | undefined;
  readonly #everyRequest: boolean;
  #copiesSeen: SeenTwice | undefined;
  /** Client, server and port of hints that are there already, by a hash: a forgotten one is only looked at again. */
  readonly #hinted = new Int32Array(HINTED);
  readonly #dnsReader = new DnsReader();
  readonly #nameSink = (name: string, offset: number, length: number) => this.#names.addFromBytes(name, this.#buffer, offset, length);

  #buffer: Uint8Array = new Uint8Array(0);
  #end = 0;
  #wire = 0;
  #seconds = 0;
  #nanoseconds = 0;
  #place = 0;
  #depth = 0;
  #source = 0;
  #destination = 0;
  #family = 0;
  #identification = 0;
  /** Whether the packet at hand is the first fragment of a datagram, and which: that of the outermost header that is cut up. */
  #firstFragment = false;
  #fragmentSource = 0;
  #fragmentDestination = 0;
  #fragmentKind = 0;
  #fragmentIdentification = 0;
  #hops = 0;

  /** `everyRequest`: the first request of every connection is kept, not only one for a client, server and port. */
  constructor(table: FlowTable, names: NameTable, window?: { readonly since: number; readonly until: number }, everyRequest = false) {
    this.#table = table;
    this.#names = names;
    this.#window = window;
    this.#everyRequest = everyRequest;
  }

  /** Number of the interface 0 of the file at hand, over all files: interfaces of different files are different places. */
  firstPlace = 0;

  /** Time of the packet that was read last, epoch seconds. */
  get latest(): number {
    return this.#seconds + this.#nanoseconds * 1e-9;
  }

  /** From here on, packets may be captured at several places: copies are looked for. */
  expectCopies(): void {
    this.#copiesSeen ??= new SeenTwice();
  }

  /** Decodes one frame of `captured` bytes at `offset`, `wire` bytes long on the wire, and counts it in its connection. */
  packet(
    buffer: Uint8Array,
    offset: number,
    captured: number,
    wire: number,
    link: number,
    interfaceNumber: number,
    seconds: number,
    nanoseconds: number,
  ): void {
    if (interfaceNumber > 0) this.expectCopies();
    if (this.#window !== undefined) {
      const moment = seconds + nanoseconds * 1e-9;
      if (moment < this.#window.since || moment > this.#window.until) return this.#skip(OUTSIDE_WINDOW);
    }
    this.#buffer = buffer;
    this.#end = offset + captured;
    this.#wire = wire;
    this.#seconds = seconds;
    this.#nanoseconds = nanoseconds;
    this.#place = this.firstPlace + interfaceNumber;
    this.#depth = 0;
    this.#firstFragment = false;
    if (link === LINK.ETHERNET) this.#ethernet(offset);
    else this.#otherLink(link, offset);
  }

  /** A name that the capture itself gives an address. */
  name(name: string, bytes: Uint8Array, offset: number, length: number): void {
    this.#names.addFromBytes(name, bytes, offset, length);
  }

  #otherLink(link: number, at: number): void {
    const b = this.#buffer;
    switch (link) {
      case LINK.LINUX_SLL:
        if (at + 16 > this.#end) return this.#skip(CUT);
        this.#place = -1;
        this.expectCopies();
        return this.#network((b[at + 14] << 8) | b[at + 15], at + 16);
      case LINK.LINUX_SLL2:
        if (at + 20 > this.#end) return this.#skip(CUT);
        // Interface number and packet type (to us, outgoing, …) are the place: one packet passes a bridge both ways.
        this.#place = (((b[at + 6] << 8) | b[at + 7]) << 11) | (b[at + 10] << 8) | (this.#place & 255);
        this.expectCopies();
        return this.#network((b[at] << 8) | b[at + 1], at + 20);
      case LINK.NULL:
      case LINK.LOOP: {
        if (at + 4 > this.#end) return this.#skip(CUT);
        // BSD loopback: the address family in the byte order of the capturing host (NULL) or the network (LOOP).
        const family = b[at] | b[at + 3];
        return this.#network(family === 2 ? ETHERTYPE_IPV4 : [10, 24, 28, 30].includes(family) ? ETHERTYPE_IPV6 : 0, at + 4);
      }
      case LINK.RAW:
      case LINK.RAW_BSD:
      case LINK.RAW_OPENBSD:
      case LINK.IPV4:
      case LINK.IPV6:
        if (at >= this.#end) return this.#skip(CUT);
        return this.#ip(at);
      default:
        return this.#skip(LINK_TYPE);
    }
  }

  #ethernet(at: number): void {
    const b = this.#buffer;
    if (at + 14 > this.#end) return this.#skip(CUT);
    this.#network((b[at + 12] << 8) | b[at + 13], at + 14);
  }

  #network(type: number, at: number): void {
    const b = this.#buffer;
    // 802.1Q, 802.1ad and the older QinQ type; a frame that is all tags ends at its captured length.
    while (type === 0x8100 || type === 0x88a8 || type === 0x9100) {
      if (at + 4 > this.#end) return this.#skip(CUT);
      type = (b[at + 2] << 8) | b[at + 3];
      at += 4;
    }
    if (type === ETHERTYPE_IPV4) this.#ipv4(at);
    else if (type === ETHERTYPE_IPV6) this.#ipv6(at);
    else this.#skip(type === ETHERTYPE_ARP ? ARP : NOT_IP);
  }

  /** IP of either version, told by its first four bits. */
  #ip(at: number): void {
    const version = at < this.#end ? this.#buffer[at] >> 4 : 0;
    if (version === 4) this.#ipv4(at);
    else if (version === 6) this.#ipv6(at);
    else this.#skip(at < this.#end ? NOT_IP : CUT);
  }

  #ipv4(at: number): void {
    const b = this.#buffer;
    if (at + 20 > this.#end) return this.#skip(CUT);
    const headerBytes = (b[at] & 15) << 2;
    if (b[at] >> 4 !== 4 || headerBytes < 20) return this.#skip(MALFORMED);
    const totalBytes = (b[at + 2] << 8) | b[at + 3];
    // Zero is segmentation offload (the real length did not fit); else link padding beyond it is no part of the packet.
    if (totalBytes !== 0) {
      if (totalBytes < headerBytes) return this.#skip(MALFORMED);
      if (at + totalBytes < this.#end) this.#end = at + totalBytes;
    }
    this.#source = (b[at + 12] << 24) | (b[at + 13] << 16) | (b[at + 14] << 8) | b[at + 15];
    this.#destination = (b[at + 16] << 24) | (b[at + 17] << 16) | (b[at + 18] << 8) | b[at + 19];
    this.#family = 0;
    this.#identification = (b[at + 4] << 8) | b[at + 5];
    const fragment = ((b[at + 6] << 8) | b[at + 7]) & 0x3fff;
    if ((fragment & 0x1fff) !== 0) return this.#laterFragment(b[at + 9], fragment);
    this.#hops = b[at + 8];
    if (fragment !== 0) this.#beginFragments(b[at + 9]);
    this.#transport(b[at + 9], at + headerBytes);
  }

  #ipv6(at: number): void {
    const b = this.#buffer;
    if (at + 40 > this.#end) return this.#skip(CUT);
    if (b[at] >> 4 !== 6) return this.#skip(MALFORMED);
    const payloadBytes = (b[at + 4] << 8) | b[at + 5];
    if (payloadBytes !== 0 && at + 40 + payloadBytes < this.#end) this.#end = at + 40 + payloadBytes;
    const addresses = this.#table.addresses;
    this.#source = addresses.intern(word(b, at + 8), word(b, at + 12), word(b, at + 16), word(b, at + 20), 0);
    this.#destination = addresses.intern(word(b, at + 24), word(b, at + 28), word(b, at + 32), word(b, at + 36), 0);
    this.#family = WORDS_ARE_IDS;
    this.#identification = 0;
    this.#hops = b[at + 7];
    let next = b[at + 6];
    at += 40;
    // Extension headers (RFC 8200 section 4): each takes at least 8 bytes, so the packet's end bounds the walk.
    for (;;) {
      if (next === 0 || next === 43 || next === 60 || next === 135 || next === 139 || next === 140) {
        if (at + 8 > this.#end) return this.#skip(CUT);
        next = b[at];
        at += (b[at + 1] + 1) << 3;
      } else if (next === 44) {
        if (at + 8 > this.#end) return this.#skip(CUT);
        const fragment = (b[at + 2] << 8) | b[at + 3];
        this.#identification = word(b, at + 4);
        next = b[at];
        if (fragment >>> 3 !== 0) return this.#laterFragment(next, fragment);
        if ((fragment & 1) !== 0) this.#beginFragments(next);
        at += 8;
      } else return this.#transport(next, at);
    }
  }

  /** Later fragments carry no ports: they are found by what the first one's header says. */
  #beginFragments(protocol: number): void {
    if (this.#firstFragment) return;
    this.#firstFragment = true;
    this.#fragmentSource = this.#source;
    this.#fragmentDestination = this.#destination;
    this.#fragmentKind = protocol | this.#family;
    this.#fragmentIdentification = this.#identification;
  }

  #laterFragment(protocol: number, position: number): void {
    if (this.#copiesSeen !== undefined && this.#isCopy(protocol, this.#end, position)) return;
    const row = this.fragments.find(
      this.#source,
      this.#destination,
      protocol | this.#family,
      this.#identification,
      this.#wire,
      this.#seconds,
    );
    if (row >= 0) this.#table.count(row, this.fragments.side, this.#wire, this.#seconds, this.#nanoseconds);
  }

  #transport(protocol: number, at: number): void {
    switch (protocol) {
      case TCP:
        return this.#tcp(at);
      case UDP:
        return this.#udp(at);
      case ICMP:
      case ICMPV6:
        return this.#icmp(protocol, at);
      case SCTP:
        return this.#sctp(at);
      case UDPLITE:
        return this.#udpLite(at);
      case IGMP:
        return this.#skip(UPKEEP);
      case IP_IN_IP:
      case IPV6_IN_IP:
        if (++this.#depth > MAX_DEPTH) return this.#skip(TOO_DEEP);
        return this.#ip(at);
      case GRE:
        return this.#gre(at);
      case AH: {
        // RFC 4302: the length counts 32-bit words less two; what follows is in the clear.
        if (at + 8 > this.#end) return this.#skip(CUT);
        if (++this.#depth > MAX_DEPTH) return this.#skip(TOO_DEEP);
        return this.#transport(this.#buffer[at], at + ((this.#buffer[at + 1] + 2) << 2));
      }
      default:
        if (protocol === NO_NEXT_HEADER) return this.#skip(NOT_IP);
        return this.#portless(protocol, at);
    }
  }

  /** Counts the packet in the row of its tuple, which is made where it is new. Returns the row, or -1 for a copy. */
  #record(sourcePort: number, destinationPort: number, kind: number, at: number, sequence: number): number {
    if (this.#copiesSeen !== undefined && this.#isCopy(kind, at, sequence)) return -1;
    const table = this.#table;
    let row = table.locate(this.#source, this.#destination, sourcePort, destinationPort, kind);
    if (row < 0 || ((table.get(row, STATE) & REUSED_ADDRESS) !== 0 && table.changedHands(row, this.#seconds))) {
      row = table.add(this.#source, this.#destination, sourcePort, destinationPort, kind, this.#seconds, this.#nanoseconds);
    }
    if (this.#isForwarded(row, at, sequence)) return -1;
    this.#countIn(row, table.side);
    return row;
  }

  /**
   * A router's own interface shows a packet coming in and, one hop less, going out again. The first such pair says that this
   * capture has copies; from then on all are looked for, also those that do not follow each other at once.
   */
  #isForwarded(row: number, at: number, sequence: number): boolean {
    const print =
      (Math.imul(this.#source, 0x85ebca6b) ^
        Math.imul(sequence, 0x27d4eb2f) ^
        Math.imul(this.#identification, 0x165667b1) ^
        Math.imul(this.#end - at, 0x9e3779b1)) &
      ~255;
    if (!this.#table.isForwarded(row, print | this.#hops) || this.#copiesSeen !== undefined) return false;
    this.expectCopies();
    this.copies++;
    return true;
  }

  #countIn(row: number, side: number): void {
    this.#table.count(row, side, this.#wire, this.#seconds, this.#nanoseconds);
    if (this.#firstFragment) this.#fileFragment(row, side);
  }

  #fileFragment(row: number, side: number): void {
    const waiting = this.fragments.first(
      this.#fragmentSource,
      this.#fragmentDestination,
      this.#fragmentKind,
      this.#fragmentIdentification,
      row,
      side,
      this.#seconds,
    );
    this.#firstFragment = false;
    if (waiting === undefined) return;
    this.#table.addPackets(row, side, waiting.packets);
    this.#table.addBytes(row, side, waiting.bytes);
  }

  #tcp(at: number): void {
    const b = this.#buffer;
    if (at + 4 > this.#end) return this.#skip(CUT);
    const sourcePort = (b[at] << 8) | b[at + 1];
    const destinationPort = (b[at + 2] << 8) | b[at + 3];
    const kind = TCP | this.#family;
    if (at + 14 > this.#end) {
      this.#record(sourcePort, destinationPort, kind, at, 0);
      return;
    }
    const flags = b[at + 13];
    const sequence = word(b, at + 4);
    const opening = (flags & 0x12) === 0x02;
    if (this.#copiesSeen !== undefined && this.#isCopy(kind, at, sequence)) return;
    const table = this.#table;
    let row = table.locate(this.#source, this.#destination, sourcePort, destinationPort, kind);
    if (row < 0 || this.#beginsAnew(row, table.side, opening, sequence)) {
      row = table.add(this.#source, this.#destination, sourcePort, destinationPort, kind, this.#seconds, this.#nanoseconds);
    }
    const side = table.side;
    if (this.#isForwarded(row, at, sequence)) return;
    this.#countIn(row, side);
    if (opening) this.#opened(row, OPENED << side, sequence);
    else if ((flags & 0x12) === 0x12) this.#opened(row, ACCEPTED << side, (word(b, at + 8) - 1) | 0);
    else if ((flags & 0x04) !== 0) table.setState(row, RESET << side);
    else table.setState(row, ((flags & 0x10) !== 0 ? SPOKE << side : 0) | ((flags & 0x01) !== 0 ? FINISHED << side : 0));
    const payload = at + ((b[at + 12] >> 4) << 2);
    if (payload < this.#end) {
      if ((table.get(row, STATE) & (LOOKED << side)) === 0) this.#look(row, side, payload, sourcePort, destinationPort);
      else if (this.#everyRequest && destinationPort !== DNS_PORT) this.#lookAgain(row, payload);
    }
  }

  /**
   * Reports whether a segment belongs to a new connection of a tuple that was used before: a SYN with another initial
   * sequence number (RFC 9293 section 3.4.1), or one that comes after other segments of a connection whose own SYN was
   * never seen, or an address that changed hands.
   */
  #beginsAnew(row: number, side: number, opening: boolean, sequence: number): boolean {
    const table = this.#table;
    const state = table.get(row, STATE);
    if ((state & REUSED_ADDRESS) !== 0 && table.changedHands(row, this.#seconds)) return true;
    if (!opening) return false;
    if ((state & HAS_ISN) !== 0) {
      if (table.get(row, ISN) === sequence) return false;
      // Both ends opening at once (RFC 9293 section 3.5) is one connection.
      return (state & (OPENED << side)) !== 0 || (state & (ACCEPTED | (ACCEPTED << 1) | SPOKE | (SPOKE << 1) | RESET | (RESET << 1))) !== 0;
    }
    // A SYN that the capture holds after later segments of its own connection: order within one file is not strict.
    return this.#seconds + this.#nanoseconds * 1e-9 > table.firstSeconds(row) + table.firstNanoseconds(row) * 1e-9;
  }

  #opened(row: number, bits: number, initialSequence: number): void {
    const table = this.#table;
    if ((table.get(row, STATE) & HAS_ISN) === 0) table.set(row, ISN, initialSequence);
    table.setState(row, bits | HAS_ISN);
  }

  #udp(at: number): void {
    const b = this.#buffer;
    if (at + 4 > this.#end) return this.#skip(CUT);
    const sourcePort = (b[at] << 8) | b[at + 1];
    const destinationPort = (b[at + 2] << 8) | b[at + 3];
    if (destinationPort === VXLAN_PORT || destinationPort === VXLAN_LINUX_PORT || destinationPort === GENEVE_PORT) {
      if (this.#tunnel(destinationPort, at + 8)) return;
    }
    const row = this.#record(sourcePort, destinationPort, UDP | this.#family, at, 0);
    if (row < 0) return;
    const { side } = this.#table;
    this.#table.setState(row, SPOKE << side);
    // Whoever goes on after an error has not ended: the server came back, or the error was no answer to it.
    if ((this.#table.get(row, STATE) & ERRORS) !== 0) this.#table.clearState(row, ERRORS);
    if (at + 8 >= this.#end) return;
    if (sourcePort === DNS_PORT) this.#dns(at + 8);
    else if (destinationPort === DNS_PORT && this.#everyRequest) this.#lookAtQuery(row, at + 8);
  }

  /** Looks through VXLAN (RFC 7348) or Geneve (RFC 8926). Reports false where the payload is neither. */
  #tunnel(port: number, at: number): boolean {
    const b = this.#buffer;
    if (at + 8 > this.#end) return false;
    if (port === GENEVE_PORT) {
      if (b[at] >> 6 !== 0) return false;
      const type = (b[at + 2] << 8) | b[at + 3];
      const inner = at + 8 + ((b[at] & 0x3f) << 2);
      if (type === ETHERTYPE_TRANSPARENT_BRIDGING) return this.#inside(inner, true);
      return (type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6) && this.#inside(inner, false);
    }
    // The I flag (and G of the group policy extension); the rest is reserved and zero: other programs use these ports too.
    if ((b[at] & 0x7f) !== 0x08 || b[at + 7] !== 0) return false;
    return this.#inside(at + 8, true);
  }

  #inside(at: number, ethernet: boolean): true {
    if (++this.#depth > MAX_DEPTH) this.#skip(TOO_DEEP);
    else if (ethernet) this.#ethernet(at);
    else this.#ip(at);
    return true;
  }

  /** Looks through GRE (RFC 2784, 2890): optional checksum, key and sequence number. Other payloads than IP are a flow of their own. */
  #gre(at: number): void {
    const b = this.#buffer;
    if (at + 4 > this.#end) return this.#skip(CUT);
    const flags = b[at];
    const version = b[at + 1] & 7;
    const type = (b[at + 2] << 8) | b[at + 3];
    if (version === 0) {
      const inner = at + 4 + (flags & 0x80 ? 4 : 0) + (flags & 0x20 ? 4 : 0) + (flags & 0x10 ? 4 : 0);
      if (type === ETHERTYPE_TRANSPARENT_BRIDGING || type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6) {
        this.#inside(inner, type === ETHERTYPE_TRANSPARENT_BRIDGING);
        return;
      }
    }
    this.#portless(GRE, at);
  }

  /** RFC 3828: ports as UDP has them. */
  #udpLite(at: number): void {
    const b = this.#buffer;
    if (at + 8 > this.#end) return this.#skip(CUT);
    const kind = UDPLITE | this.#family;
    if (this.#copiesSeen !== undefined && this.#isCopy(kind, at, 0)) return;
    const [sourcePort, destinationPort] = [(b[at] << 8) | b[at + 1], (b[at + 2] << 8) | b[at + 3]];
    const table = this.#table;
    let row = table.locate(this.#source, this.#destination, sourcePort, destinationPort, kind);
    if (row < 0) row = table.add(this.#source, this.#destination, sourcePort, destinationPort, kind, this.#seconds, this.#nanoseconds);
    const { side } = table;
    this.#countIn(row, side);
    table.setState(row, SPOKE << side);
  }

  #sctp(at: number): void {
    const b = this.#buffer;
    if (at + 4 > this.#end) return this.#skip(CUT);
    const sourcePort = (b[at] << 8) | b[at + 1];
    const destinationPort = (b[at + 2] << 8) | b[at + 3];
    const kind = SCTP | this.#family;
    // RFC 9260 section 3: common header of 12 bytes, then chunks; INIT and INIT ACK carry the initiate tag at 4.
    const chunk = at + 20 <= this.#end ? b[at + 12] : -1;
    const tag = chunk === 1 ? word(b, at + 16) : 0;
    if (this.#copiesSeen !== undefined && this.#isCopy(kind, at, 0)) return;
    const table = this.#table;
    let row = table.locate(this.#source, this.#destination, sourcePort, destinationPort, kind);
    if (row < 0 || this.#beginsAnew(row, table.side, chunk === 1, tag)) {
      row = table.add(this.#source, this.#destination, sourcePort, destinationPort, kind, this.#seconds, this.#nanoseconds);
    }
    const side = table.side;
    this.#countIn(row, side);
    if (chunk === 1) this.#opened(row, OPENED << side, tag);
    else if (chunk === 2) this.#opened(row, ACCEPTED << side, word(b, at + 4));
    else if ((at + 16 <= this.#end ? b[at + 12] : -1) === 6) table.setState(row, RESET << side);
    else table.setState(row, SPOKE << side);
  }

  /** A protocol without ports (ESP, GRE with other payloads, …): one connection a pair of addresses. */
  #portless(protocol: number, at: number): void {
    this.#record(0, 0, protocol | this.#family, at, 0);
  }

  #icmp(protocol: number, at: number): void {
    const b = this.#buffer;
    if (at + 2 > this.#end) return this.#skip(CUT);
    const type = b[at];
    const code = b[at + 1];
    if (protocol === ICMPV6) {
      // RFC 4443 section 2.1: types below 128 are errors. 130-137, 141-143, 148-153: MLD, neighbour and router discovery.
      if (type < 128) return this.#icmpError(protocol, type, code, at);
      if (type === 128 || type === 129) return this.#echo(protocol, 128, type === 129, at);
      if ((type >= 130 && type <= 137) || (type >= 141 && type <= 143) || (type >= 148 && type <= 153)) return this.#skip(UPKEEP);
    } else {
      if (type === 3 || type === 4 || type === 5 || type === 11 || type === 12) return this.#icmpError(protocol, type, code, at);
      if (type === 8 || type === 0) return this.#echo(protocol, 8, type === 0, at);
      // Timestamp, information and address mask: the reply's type is one more than the request's.
      if (type >= 13 && type <= 18) return this.#echo(protocol, type - 1 + (type & 1), (type & 1) === 0, at);
      if (type === 9 || type === 10) return this.#skip(UPKEEP);
    }
    this.#record(0, 0, icmpKind(protocol, type, code) | this.#family | ONE_WAY, at, 0);
  }

  /** A reply is filed under its request: ends that ping each other with one identifier are two connections. */
  #echo(protocol: number, requestType: number, isReply: boolean, at: number): void {
    const b = this.#buffer;
    const identifier = at + 6 <= this.#end ? (b[at + 4] << 8) | b[at + 5] : 0;
    const sequence = at + 8 <= this.#end ? (b[at + 6] << 8) | b[at + 7] : 0;
    const kind = icmpKind(protocol, requestType, 0) | this.#family | DIRECTED;
    if (this.#copiesSeen !== undefined && this.#isCopy(kind ^ (isReply ? 1 << 30 : 0), at, sequence)) return;
    const table = this.#table;
    const [from, to] = isReply ? [this.#destination, this.#source] : [this.#source, this.#destination];
    let row = table.locate(from, to, identifier, identifier, kind);
    if (row < 0 || ((table.get(row, STATE) & REUSED_ADDRESS) !== 0 && table.changedHands(row, this.#seconds))) {
      row = table.add(from, to, identifier, identifier, kind, this.#seconds, this.#nanoseconds);
    }
    if (this.#isForwarded(row, at, sequence)) return;
    const requester = table.side;
    const sender = isReply ? 1 - requester : requester;
    this.#countIn(row, sender);
    table.setState(row, (isReply ? ACCEPTED : OPENED) << sender);
  }

  /** An error belongs to the connection whose packet it quotes (RFC 792, RFC 4443); when that is not known it stands alone. */
  #icmpError(protocol: number, type: number, code: number, at: number): void {
    const outerSource = this.#source;
    const outerDestination = this.#destination;
    const family = this.#family;
    if (this.#copiesSeen !== undefined && this.#isCopy(icmpKind(protocol, type, code), at, 0)) return;
    const row = this.#firstFragment ? -1 : this.#quotedRow(at + 8);
    const table = this.#table;
    if (row >= 0) {
      // It says how that connection ended and is no packet of it.
      const meaning = errorMeaning(protocol, type, code);
      if (meaning !== 0) table.setState(row, meaning | (table.side === 1 ? ERROR_SENT_TO_B : 0));
      return this.#skip(ICMP_ERROR);
    }
    this.#source = outerSource;
    this.#destination = outerDestination;
    this.#family = family;
    const own = icmpKind(protocol, type, code) | family | ONE_WAY;
    let found = table.locate(outerSource, outerDestination, 0, 0, own);
    if (found < 0) found = table.add(outerSource, outerDestination, 0, 0, own, this.#seconds, this.#nanoseconds);
    this.#countIn(found, table.side);
  }

  /** Returns the row of the packet quoted at `at`, or -1; the table's `side` is then that of the quoted packet's sender. */
  #quotedRow(at: number): number {
    const b = this.#buffer;
    const end = this.#end;
    if (at >= end) return -1;
    const version = b[at] >> 4;
    let protocol: number;
    let ports: number;
    if (version === 4 && at + 20 <= end) {
      if ((((b[at + 6] << 8) | b[at + 7]) & 0x1fff) !== 0) return -1;
      protocol = b[at + 9];
      ports = at + ((b[at] & 15) << 2);
      this.#source = word(b, at + 12);
      this.#destination = word(b, at + 16);
      this.#family = 0;
    } else if (version === 6 && at + 40 <= end) {
      protocol = b[at + 6];
      ports = at + 40;
      const addresses = this.#table.addresses;
      this.#source = addresses.intern(word(b, at + 8), word(b, at + 12), word(b, at + 16), word(b, at + 20), 0);
      this.#destination = addresses.intern(word(b, at + 24), word(b, at + 28), word(b, at + 32), word(b, at + 36), 0);
      this.#family = WORDS_ARE_IDS;
    } else return -1;
    const table = this.#table;
    if (hasPorts(protocol)) {
      if (ports + 4 > end) return -1;
      return table.locate(
        this.#source,
        this.#destination,
        (b[ports] << 8) | b[ports + 1],
        (b[ports + 2] << 8) | b[ports + 3],
        protocol | this.#family,
      );
    }
    if (protocol === ICMP || protocol === ICMPV6) {
      if (ports + 6 > end) return -1;
      const identifier = (b[ports + 4] << 8) | b[ports + 5];
      return table.locate(
        this.#source,
        this.#destination,
        identifier,
        identifier,
        icmpKind(protocol, protocol === ICMP ? 8 : 128, 0) | this.#family | DIRECTED,
      );
    }
    return table.locate(this.#source, this.#destination, 0, 0, protocol | this.#family);
  }

  /** Looks at the first payload that a side sends on a connection. One hint is enough for a client, server and port, unless all are wanted. */
  #look(row: number, side: number, at: number, sourcePort: number, destinationPort: number): void {
    this.#table.setState(row, LOOKED << side);
    const b = this.#buffer;
    if (sourcePort === DNS_PORT) {
      // RFC 1035 section 4.2.2: over TCP a message is preceded by its length.
      if (at + 2 < this.#end) this.#dns(at + 2);
      return;
    }
    if (destinationPort === DNS_PORT) {
      if (this.#everyRequest) this.#lookAtQuery(row, at + 2);
      return;
    }
    const key = Math.imul(this.#source, 0x9e3779b1) ^ Math.imul(this.#destination, 0x85ebca6b) ^ destinationPort ^ this.#family;
    const slot = (key ^ (key >>> 15)) & (HINTED - 1);
    // At an address that changed hands it is another client or server that is met.
    const isReused = (this.#table.get(row, STATE) & REUSED_ADDRESS) !== 0;
    if (this.#hinted[slot] === key && !this.#everyRequest && !isReused) return;
    let hint: L7Hint | undefined;
    if (b[at] === 0x16) {
      const serverName = readServerName(b, at, this.#end);
      if (serverName !== undefined) hint = { tls: { serverName } };
    } else {
      const http = readHttpRequest(b, at, this.#end);
      if (http !== undefined) hint = { http };
    }
    if (hint === undefined) return;
    this.#hinted[slot] = key;
    this.hints.add(row, hint);
  }

  /** Looks for a further request on a connection that is kept open: one begins where a segment does, nearly always. */
  #lookAgain(row: number, at: number): void {
    const http = readHttpRequest(this.#buffer, at, this.#end);
    if (http !== undefined) this.hints.addFurther(row, { http });
  }

  #lookAtQuery(row: number, at: number): void {
    const query = readQueryName(this.#buffer, at, this.#end);
    if (query === undefined) return;
    // Resolvers ask for both families of a name from one socket: that is one connection.
    if (this.hints.has(row)) this.hints.addFurther(row, { dns: { query } });
    else this.hints.add(row, { dns: { query } });
  }

  #dns(at: number): void {
    this.#dnsReader.read(this.#buffer, at, this.#end, this.#nameSink);
  }

  /** Reports whether the packet is a copy, by what no hop changes: addresses, identification, ports, sequence and lengths. */
  #isCopy(kind: number, at: number, sequence: number): boolean {
    const b = this.#buffer;
    const length = this.#end - at;
    const ports = length >= 4 ? word(b, at) : 0;
    let low = Math.imul(this.#source, 0x9e3779b1) ^ Math.imul(this.#destination, 0x85ebca6b) ^ Math.imul(ports, 0xc2b2ae35) ^ kind;
    let high = Math.imul(sequence, 0x27d4eb2f) ^ Math.imul(this.#identification, 0x165667b1) ^ Math.imul(length, 0x9e3779b1);
    // TCP's acknowledgement, flags and window; UDP's and ICMP's first data. Checksums are left out: offloading fills them in late.
    const protocol = kind & 255;
    const from = protocol === TCP ? at + 8 : protocol === UDP || protocol === ICMP || protocol === ICMPV6 ? at + 8 : at + 12;
    if (from + 4 <= this.#end) low = Math.imul(low ^ word(b, from), 0x2c1b3c6d);
    if (from + 8 <= this.#end) high = Math.imul(high ^ word(b, from + 4), 0x297a2d39);
    // TCP time stamps (or the first options and data) tell a repeated segment from a copy where IPv6 has no identification.
    if (protocol === TCP && at + 32 <= this.#end) high = Math.imul(high ^ word(b, at + 24) ^ word(b, at + 28), 0x1b873593);
    low ^= low >>> 15;
    // Coming in and going out of one interface, one hop less, are two places.
    const place = this.#place < 0 ? -1 : (this.#place * 257 + this.#hops) & 0x7fffffff;
    const copy = this.#copiesSeen!.isCopy(low, high, place, this.#seconds, this.#nanoseconds);
    if (copy) this.copies++;
    return copy;
  }

  #skip(reason: number): void {
    this.skipped[reason]++;
  }
}

/** Returns what an ICMP error says of the connection that it quotes, as a state bit; 0 for errors that do not end it. */
function errorMeaning(protocol: number, type: number, code: number): number {
  if (protocol === ICMP) {
    if (type !== 3 || code === 4) return type === 11 && code === 0 ? UNREACHED_BY_ERROR : 0;
    if (code === 9 || code === 10 || code === 13) return PROHIBITED_BY_ERROR; // RFC 1812 section 5.2.7.1
    return code === 2 || code === 3 ? REFUSED_BY_ERROR : UNREACHED_BY_ERROR;
  }
  if (type !== 1) return type === 3 && code === 0 ? UNREACHED_BY_ERROR : 0;
  if (code === 1 || code === 5 || code === 6) return PROHIBITED_BY_ERROR; // RFC 4443 section 3.1
  return code === 4 ? REFUSED_BY_ERROR : UNREACHED_BY_ERROR;
}

/** Returns the signed 32-bit big-endian word at an offset. */
function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}
