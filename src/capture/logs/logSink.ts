import {
  ACCEPTED,
  CLOUD_ACCEPTED,
  CLOUD_DENIED,
  DENIAL_DECIDES,
  type FlowTable,
  HALVES_ONLY,
  NO_ANSWER,
  OPENED,
  PERHAPS_REPLY,
  PROHIBITED_BY_ERROR,
  RESET,
  SPOKE,
  STATED_ALLOWED,
  UNCOUNTED,
  UNJUDGED,
  UNTALLIED,
} from "../../flow/flowTable.ts";
import type { L7Hint, L7Hints } from "../../flow/hints.ts";
import { addHalf, addStated, bitsOfFlags } from "../../flow/logged.ts";
import type { NameTable } from "../../flow/names.ts";
import { type LoggedParties, type LoggedParty, standInFor } from "../../flow/parties.ts";
import { type Address, parseAddress, wordsOfAddress } from "../../net/address.ts";
import { hasPorts, ICMP, ICMPV6, IGMP, isIcmp } from "../../net/protocol.ts";
import { type Instant, secondsOf } from "../../net/time.ts";
import type { Gap, GapKind } from "../gaps.ts";
import type { InputSummary } from "../observation.ts";
import { ICMP_ERROR, SKIP_REASONS, UPKEEP } from "../skipReasons.ts";
import { later, shown } from "./fields.ts";
import { BadRecord } from "./flowLog.ts";

/** Where flow logs go. */
export interface LogTarget {
  readonly table: FlowTable;
  readonly names: NameTable;
  readonly parties: LoggedParties;
  readonly hints: L7Hints;
  /** Epoch seconds. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** Whether a policy looks at requests, so that all of them count. */
  readonly everyRequest?: boolean | undefined;
  /** Takes records that are rows of a broker: who reads them must know the cluster. */
  readonly handedOn?: unknown[] | undefined;
}

/** What a connection and one direction of it have in common. */
interface LoggedRecord {
  /** Ends as `LogSink.end` gives them. */
  readonly source: LogEnd;
  readonly destination: LogEnd;
  readonly protocol: number;
  readonly sourcePort?: number | undefined;
  readonly destinationPort?: number | undefined;
  /** ICMP alone; undefined: not told. */
  readonly icmpType?: number | undefined;
  readonly icmpCode?: number | undefined;
  readonly start?: Instant | undefined;
  readonly end?: Instant | undefined;
  /** Sent by the source; undefined: not counted. */
  readonly packets?: number | undefined;
  readonly bytes?: number | undefined;
  /** What a network policy's enforcement point says. */
  readonly verdict?: "allow" | "deny" | undefined;
  /** Whether the log has several points along the way, so that a denial at one of them outweighs another's allowance. */
  readonly denialDecides?: boolean | undefined;
  /** Whether a cloud's own firewall denied it: no network policy did. */
  readonly cloudDenied?: boolean | undefined;
  /** Who reported it, within the format; empty: one observer in all. */
  readonly reporter?: string | undefined;
}

/** A connection of which the log says who began: the source. */
export interface LoggedFlow extends LoggedRecord {
  /** Sent by the responder, where it is counted apart. */
  readonly returnedPackets?: number | undefined;
  readonly returnedBytes?: number | undefined;
  /** Whether the counters go back to the connection's beginning or the record before, so that one without any leaves out nothing. */
  readonly countsTheRest?: boolean | undefined;
  /** Whether the record is of what only an initiator sends (SYN without ACK). */
  readonly isOpening?: boolean | undefined;
  /** Whether it may be a reply, unless a record before tells who began. */
  readonly mayBeReply?: boolean | undefined;
  /** Whether the initiator went on after the connection had come about (a segment with ACK and without SYN and RST). */
  readonly goesOn?: boolean | undefined;
  /** What the responder did: answered so that the connection came about, refused it, or nothing (where the log sees both directions). */
  readonly answer?: "accepted" | "refused" | "none" | undefined;
  /** How many connections the record stands for, where it has no source port. */
  readonly times?: number | undefined;
  /** Whether the log keeps one record however often the connection was made. */
  readonly isUntallied?: boolean | undefined;
  /** Whether the record is one whole connection. */
  readonly isWhole?: boolean | undefined;
  /** What was seen above the transport. */
  readonly hint?: L7Hint | undefined;
  /** Later requests of the same connection. */
  readonly further?: readonly L7Hint[] | undefined;
}

/** Returns the answer of a connection of datagrams, which needs none: that none came says nothing. */
export function answered(returnedPackets: number | undefined): LoggedFlow["answer"] {
  return returnedPackets !== undefined && returnedPackets > 0 ? "accepted" : undefined;
}

/** One direction of a connection: who began is not said. */
export interface LoggedHalf extends LoggedRecord {
  /** TCP control bits of all packets together, as in the header (RFC 9293 section 3.1); undefined: not told. */
  readonly tcpFlags?: number | undefined;
  /** Whether SYN and ACK in `tcpFlags` may come from two packets. */
  readonly areFlagsMerged?: boolean | undefined;
  /** OPENED, ACCEPTED, SPOKE and the like, where the log tells packets apart; in place of `tcpFlags`. */
  readonly sender?: number | undefined;
  /** Whether the log has no replies, so that none in it says nothing. */
  readonly isOneSided?: boolean | undefined;
  /** The other direction, where the record has both; undefined: it has one. `packets` 0: nothing came back. */
  readonly returned?: Returned | undefined;
}

/** What came back in a record of both directions. */
export interface Returned {
  readonly packets: number;
  readonly bytes?: number | undefined;
  readonly tcpFlags?: number | undefined;
  /** Whether it is known to have come after what `source` sent; else which end the record names first says nothing. */
  readonly isLater?: boolean | undefined;
}

/** An end of a record. */
export interface LogEnd {
  readonly address: Address;
  /** Its address-table id. */
  readonly id: number;
}

/** An end of which records say more than the address. */
interface KnownEnd {
  readonly key: string;
  readonly pod: string | undefined;
  readonly end: LogEnd;
}

/** Who was met at an address: the latest, and whether it was nobody else. */
interface Met {
  readonly latest: KnownEnd;
  readonly isOne: boolean;
}

/** Texts of addresses that are kept: the same few are in nearly every record, and parsing one takes longer than the rest of the line. */
const KEPT_TEXTS = 1 << 16;

/** Thrown for a record that the user asked to leave out (--since, --until): counted, and nothing to warn of. */
export class OutsideWindow extends Error {}

/** Takes the records of one log: ends become ids, connections and halves rows of the flow table. */
export class LogSink {
  readonly format: string;
  readonly #target: LogTarget;
  readonly #plain = new Map<string, LogEnd>();
  /** By the text of an address. */
  readonly #met = new Map<string, Met>();
  readonly #named = new Map<string, KnownEnd>();
  readonly #gaps = new Map<string, { kind: GapKind; count: number | null; message: (count: number) => string }>();
  readonly #skipped: Record<string, number> = {};
  /** Numbers of the reporters that were met. */
  readonly #origins = new Map<string, number>();
  /** Takes what is wrong with one of several parts of a record. */
  leaveOut: (error: unknown) => void = (error) => {
    throw error;
  };
  /** Whether packets were sampled, so that which of a connection's was first is not known. */
  #isSampled = false;
  records = 0;
  packets = 0;
  bytes = 0;

  constructor(format: string, target: LogTarget) {
    this.format = format;
    this.#target = target;
  }

  /** Reads the parts of a record that are records of their own: a bad one costs no other. */
  eachPart<Part>(parts: readonly Part[], read: (part: Part) => void): void {
    for (const part of parts) {
      try {
        read(part);
      } catch (error) {
        this.leaveOut(error);
      }
    }
  }

  get everyRequest(): boolean {
    return this.#target.everyRequest === true;
  }

  /**
   * Returns the end of an address and of what the record says of it besides. Throws BadRecord where the text is no address. A record that
   * says nothing of an address is about whom the others of this log name there, if they name only one; one that names a pod without its
   * labels is about the pod that has them.
   */
  end(text: unknown, field: string, party: LoggedParty = {}): LogEnd {
    if (typeof text !== "string") throw new BadRecord(`${field} is no address \`${shown(text)}\``);
    const { pod, labels } = party;
    const met = this.#met.get(text);
    if (pod === undefined && labels === undefined) return met?.isOne === true ? met.latest.end : this.plainEnd(text, field);
    if (met !== undefined && met.latest.pod === pod && labels === undefined) return met.latest.end;
    const key = `${pod ?? ""} ${labels === undefined ? "" : labels.join()}`;
    return met !== undefined && met.latest.key === key ? met.latest.end : this.#newEnd(text, field, key, party);
  }

  #newEnd(text: string, field: string, key: string, party: LoggedParty): LogEnd {
    const named = `${text} ${key}`;
    let known = this.#named.get(named);
    if (known === undefined) {
      const { address } = this.plainEnd(text, field);
      known = { key, pod: party.pod, end: { address, id: this.#intern(address, this.#target.parties.intern(party)) } };
      if (this.#named.size >= KEPT_TEXTS) this.#named.clear();
      this.#named.set(named, known);
    }
    const met = this.#met.get(text);
    if (this.#met.size >= KEPT_TEXTS) this.#met.clear();
    const isOne = met === undefined || (met.isOne && met.latest.pod === known.pod && known.pod !== undefined);
    this.#met.set(text, { latest: known, isOne });
    return known.end;
  }

  /** Returns the end that a log names without an address. */
  endWithoutAddress(party: LoggedParty): LogEnd {
    const key = ` ${party.unaddressed} ${party.called} ${party.pod} ${party.labels?.join()}`;
    let known = this.#named.get(key);
    if (known === undefined) {
      const tag = this.#target.parties.intern(party);
      const address = standInFor(tag);
      known = { key, pod: party.pod, end: { address, id: this.#intern(address, tag) } };
      if (this.#named.size >= KEPT_TEXTS) this.#named.clear();
      this.#named.set(key, known);
    }
    return known.end;
  }

  /** Returns a destination with what was dialled to reach it (a Service's address, before translation). */
  dialledAt(destination: LogEnd, dialled: LogEnd, port: number): LogEnd {
    if (dialled.address === destination.address) return destination;
    const { addresses } = this.#target.table;
    const party = this.#target.parties.get(addresses.tagOf(destination.id));
    const tag = this.#target.parties.intern({ ...party, via: { addressId: addresses.plainOf(dialled.id), port } });
    return { address: destination.address, id: this.#intern(destination.address, tag) };
  }

  /** Returns an end whose words are those of this very record, whatever others say of the address. */
  exactEnd(text: unknown, field: string, party: LoggedParty): LogEnd {
    const plain = this.plainEnd(text, field);
    const tag = this.#target.parties.intern(party);
    return tag === 0 ? plain : { address: plain.address, id: this.#intern(plain.address, tag) };
  }

  /** Returns the end of an address of which the record says nothing else. Throws BadRecord where the text is no address. */
  plainEnd(text: unknown, field: string): LogEnd {
    if (typeof text !== "string") throw new BadRecord(`${field} is no address \`${shown(text)}\``);
    const known = this.#plain.get(text);
    if (known !== undefined) return known;
    const address = parseAddress(text);
    if (address === undefined) throw new BadRecord(`${field} is no address \`${shown(text)}\``);
    const end = { address, id: this.#intern(address, 0) };
    if (this.#plain.size >= KEPT_TEXTS) this.#plain.clear();
    this.#plain.set(text, end);
    return end;
  }

  #originOf(reporter = ""): number {
    let origin = this.#origins.get(reporter);
    if (origin === undefined) {
      origin = this.#target.table.origins.of(this.format, reporter);
      if (this.#origins.size >= KEPT_TEXTS) this.#origins.clear();
      this.#origins.set(reporter, origin);
    }
    return origin;
  }

  #intern(address: Address, tag: number): number {
    const [w0, w1, w2, w3] = wordsOfAddress(address);
    return this.#target.table.addresses.intern(w0, w1, w2, w3, tag);
  }

  /** Says that an address has a DNS name. */
  name(end: LogEnd, name: string): void {
    if (name !== "") this.#target.names.add(end.address, withoutDot(name));
  }

  /** Says that a DNS answer gave a name an address. Texts that are no addresses are passed over. */
  answer(text: string, name: string): void {
    const address = parseAddress(text);
    if (address !== undefined && name !== "") this.#target.names.add(address, withoutDot(name));
  }

  /** Says that all names of an address are told. */
  knowNames(end: LogEnd): void {
    this.#target.names.know(end.address);
  }

  /** Adds a connection. Throws BadRecord where a port is missing that policies judge by. */
  stated(flow: LoggedFlow): void {
    const { protocol, packets, bytes, returnedPackets, returnedBytes, start, hint } = flow;
    const { table, hints } = this.#target;
    if (hasPorts(protocol) && flow.destinationPort === undefined) throw new BadRecord("the destination port is missing");
    this.#window(start, flow.end);
    const isDenied = flow.verdict === "deny" || flow.cloudDenied === true;
    const bits =
      (flow.verdict === "allow" ? STATED_ALLOWED : isDenied ? PROHIBITED_BY_ERROR : UNJUDGED) |
      (flow.verdict === "deny" && flow.denialDecides === true ? DENIAL_DECIDES : 0) |
      (flow.cloudDenied === true ? CLOUD_DENIED : 0) |
      (flow.answer === "none" ? NO_ANSWER : 0) |
      (flow.isUntallied === true ? UNTALLIED : 0) |
      (packets === undefined || bytes === undefined ? UNCOUNTED : 0);
    const before = table.size;
    const row = addStated(table, {
      source: flow.source.id,
      destination: flow.destination.id,
      protocol,
      sourcePort: flow.sourcePort,
      destinationPort: flow.destinationPort,
      icmpType: flow.icmpType,
      icmpCode: flow.icmpCode,
      start,
      end: flow.end,
      origin: this.#originOf(flow.reporter),
      bits,
      initiator: flow.goesOn === true && !isDenied ? SPOKE : 0,
      responder: flow.answer === "accepted" ? ACCEPTED : flow.answer === "refused" ? RESET : 0,
      packets: packets ?? 0,
      bytes: bytes ?? 0,
      returnedPackets: returnedPackets === undefined ? undefined : returnedPackets,
      returnedBytes,
      times: flow.times,
      isWhole: flow.isWhole,
    });
    if (flow.mayBeReply === true && table.size > before) table.setState(row, PERHAPS_REPLY);
    if (flow.isOpening === true) table.clearState(row, PERHAPS_REPLY);
    if (flow.countsTheRest === true) table.clearState(row, UNCOUNTED);
    this.#counted((packets ?? 0) + (returnedPackets ?? 0), (bytes ?? 0) + (returnedBytes ?? 0));
    // One is enough where nobody asks what was requested.
    if (hint !== undefined && (this.#target.everyRequest === true || !hints.has(row)))
      hints.add(row, flow.verdict === "deny" ? { ...hint, refused: true } : hint);
    if (flow.further !== undefined && this.#target.everyRequest === true)
      for (const request of flow.further) hints.addFurther(row, request);
  }

  /** Adds one direction of a connection. Throws BadRecord where a port is missing that policies judge by. */
  half(flow: LoggedHalf): void {
    const { protocol, start, packets, bytes, icmpType } = flow;
    const { table } = this.#target;
    if (hasPorts(protocol) && (flow.sourcePort === undefined || flow.destinationPort === undefined))
      throw new BadRecord("a port is missing");
    const upkeep = flow.verdict === undefined && flow.cloudDenied !== true ? upkeepOf(protocol, icmpType) : -1;
    if (upkeep >= 0) return this.skip(SKIP_REASONS[upkeep]);
    // An ICMP type says by itself who asked (RFC 792, RFC 4443 section 4): an echo reply belongs to its request.
    if (isIcmp(protocol) && icmpType !== undefined) return this.#message(flow, icmpType);
    this.#window(start, flow.end);
    const common = {
      protocol,
      end: flow.end,
      origin: this.#originOf(flow.reporter),
      bits:
        (flow.verdict === "allow" ? STATED_ALLOWED : flow.verdict === "deny" ? PROHIBITED_BY_ERROR : 0) |
        (flow.verdict === "deny" && flow.denialDecides === true ? DENIAL_DECIDES : 0) |
        (flow.isOneSided === true ? UNJUDGED : 0) |
        (flow.returned === undefined ? HALVES_ONLY : 0) |
        (flow.cloudDenied === true ? CLOUD_DENIED : 0) |
        (packets === undefined || bytes === undefined ? UNCOUNTED : 0),
    };
    const { sourcePort = 0, destinationPort = 0, returned } = flow;
    const isMerged = flow.areFlagsMerged === true;
    // Of what a cloud's firewall stopped only the try counts.
    const did = (flags: number | undefined, count: number, size: number) => {
      const bits = bitsOfFlags(protocol, flags, count, size, isMerged);
      return flow.cloudDenied === true ? bits & OPENED : bits | (flow.cloudDenied === false ? CLOUD_ACCEPTED : 0);
    };
    addHalf(table, {
      ...common,
      source: flow.source.id,
      destination: flow.destination.id,
      sourcePort,
      destinationPort,
      start,
      sender: flow.sender ?? did(flow.tcpFlags, packets ?? 1, bytes ?? 0),
      isUnordered: this.#isSampled,
      packets: packets ?? 0,
      bytes: bytes ?? 0,
    });
    if (returned !== undefined && returned.packets > 0)
      addHalf(table, {
        ...common,
        source: flow.destination.id,
        destination: flow.source.id,
        sourcePort: destinationPort,
        destinationPort: sourcePort,
        // When it began is not told: a moment later.
        start: start !== undefined && returned.isLater === true ? later(start, 1e-9) : start,
        sender: did(returned.tcpFlags, returned.packets, returned.bytes ?? 0),
        isUnordered: this.#isSampled,
        packets: returned.packets,
        bytes: returned.bytes ?? 0,
      });
    this.#counted((packets ?? 0) + (returned?.packets ?? 0), (bytes ?? 0) + (returned?.bytes ?? 0));
  }

  /** Adds ICMP messages of one type, and what came back. */
  #message(flow: LoggedHalf, icmpType: number): void {
    const { protocol, packets, bytes, returned } = flow;
    const request = REQUEST_OF.get(`${protocol}/${icmpType}`);
    if (request === undefined) {
      const answer = returned !== undefined && returned.packets > 0 ? "accepted" : undefined;
      this.stated({ ...flow, answer, returnedPackets: returned?.packets, returnedBytes: returned?.bytes });
      return;
    }
    this.stated({
      source: flow.destination,
      destination: flow.source,
      protocol,
      icmpType: request,
      icmpCode: 0,
      start: flow.start,
      end: flow.end,
      packets: packets === undefined ? undefined : (returned?.packets ?? 0),
      bytes: bytes === undefined ? undefined : (returned?.bytes ?? 0),
      returnedPackets: packets,
      returnedBytes: bytes,
      answer: "accepted",
      reporter: flow.reporter,
    });
  }

  #window(start: Instant | undefined, end: Instant | undefined): void {
    if (start === undefined) return;
    const { since, until } = this.#target;
    if (since !== undefined && secondsOf(end ?? start) < since) throw new OutsideWindow();
    if (until !== undefined && secondsOf(start) > until) throw new OutsideWindow();
  }

  #counted(packets: number, bytes: number): void {
    this.records++;
    this.packets += packets;
    this.bytes += bytes;
  }

  /** Hands a record on to who knows the cluster. */
  handOn(record: unknown): void {
    this.#target.handedOn?.push(record);
    this.records++;
  }

  /** Counts a record that is no connection, and no fault either: a summary line, an event of another kind. */
  skip(reason: string, count = 1): void {
    this.#skipped[reason] = (this.#skipped[reason] ?? 0) + count;
  }

  /** Says why less is in the log than happened; counts add up. `count` null: not told how much. */
  gap(kind: GapKind, count: number | null, message: (count: number) => string): void {
    if (kind === "sampled") this.#isSampled = true;
    const key = `${kind} ${message(1)}`;
    const known = this.#gaps.get(key);
    if (known === undefined) this.#gaps.set(key, { kind, count, message });
    else if (count !== null) known.count = (known.count ?? 0) + count;
  }

  /** Returns what was read so far; `name`: the log's. */
  summary(name: string): InputSummary {
    const { format, records, packets, bytes } = this;
    return { name, format, records, packets, bytes, skipped: this.#skipped, warnings: [], gaps: this.gaps };
  }

  get gaps(): readonly Gap[] {
    return [...this.#gaps.values()].map(({ kind, count, message }) => ({ kind, count, message: message(count ?? 0) }));
  }
}

/**
 * Returns why messages are in no connection, a place in SKIP_REASONS, or -1: the same that are none in a capture. An ICMP error
 * answers a connection (RFC 792; RFC 4443 section 2.1: types below 128), and a log does not tell which.
 */
function upkeepOf(protocol: number, icmpType: number | undefined): number {
  if (protocol === IGMP) return UPKEEP;
  if (icmpType === undefined) return -1;
  if (protocol === ICMP) return [3, 4, 5, 11, 12].includes(icmpType) ? ICMP_ERROR : icmpType === 9 || icmpType === 10 ? UPKEEP : -1;
  if (protocol !== ICMPV6) return -1;
  if (icmpType > 0 && icmpType < 128) return ICMP_ERROR;
  // MLD, neighbour and router discovery.
  return (icmpType >= 130 && icmpType <= 137) || (icmpType >= 141 && icmpType <= 143) || (icmpType >= 148 && icmpType <= 153) ? UPKEEP : -1;
}

/** Requests by their replies (IANA ICMP and ICMPv6 parameters). */
const REQUEST_OF = new Map([
  [`${ICMP}/0`, 8],
  [`${ICMP}/14`, 13],
  [`${ICMPV6}/129`, 128],
]);

function withoutDot(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}
