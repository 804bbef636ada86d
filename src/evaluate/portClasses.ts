import { ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE } from "../net/protocol.ts";

/** Protocols with a number that rules tell apart, in the order of their tables: ports, or ICMP type and code (type * 256 + code). */
const NUMBERED = [TCP, UDP, SCTP, UDPLITE, ICMP, ICMPV6];

/** A protocol and number (port, or ICMP type and code) that stands for its class. */
export interface PortSample {
  readonly protocol: number;
  /** The port, or ICMP type * 256 + code; for other protocols -1. */
  readonly port: number;
  /** The initiator's port; -1 where it is not known, or no rule looks at it. */
  readonly sourcePort: number;
}

/** A protocol's ports from `first` to `last`. */
export interface PortCut {
  readonly protocol: number;
  readonly first: number;
  readonly last: number;
}

/**
 * Cuts the ports of each protocol into classes that no policy tells apart: from port to class is one look-up. Other protocols have
 * a class each where a policy names them, and share the last one otherwise. Where rules look at the initiator's port too, each
 * class is split by it, and what is not known of it is a class.
 */
export class PortClasses {
  readonly samples: readonly PortSample[];
  /** How many classes the initiator's port splits each class into. */
  readonly sourceCount: number;
  readonly #tables: (Uint16Array | undefined)[] = [];
  readonly #sources: (Uint16Array | undefined)[] = [];
  readonly #portless: ReadonlyMap<number, number>;
  readonly #anyPortless: number;

  constructor(cuts: readonly PortCut[], sourceCuts: readonly PortCut[] = [], protocols: readonly number[] = []) {
    const samples: { protocol: number; port: number }[] = [];
    for (const protocol of NUMBERED) {
      const starts = startsOf(cuts, protocol);
      const table = new Uint16Array(65536);
      for (const start of starts) {
        table.fill(samples.length, start);
        samples.push({ protocol, port: start });
      }
      this.#tables[protocol] = table;
    }
    const others = [...new Set(protocols)].filter((protocol) => !NUMBERED.includes(protocol));
    this.#portless = new Map(others.map((protocol) => [protocol, samples.push({ protocol, port: -1 }) - 1]));
    this.#anyPortless = samples.push({ protocol: 255, port: -1 }) - 1;
    // Classes of initiators' ports are those of all protocols: few rules name any. Class 0 is of those that are not known.
    const sourceStarts =
      sourceCuts.length === 0
        ? []
        : startsOf(
            sourceCuts.map((cut) => ({ ...cut, protocol: TCP })),
            TCP,
          );
    this.sourceCount = 1 + sourceStarts.length;
    const sourceTable = new Uint16Array(sourceStarts.length === 0 ? 0 : 65536);
    sourceStarts.forEach((start, i) => sourceTable.fill(i + 1, start));
    for (const protocol of [TCP, UDP, SCTP, UDPLITE]) this.#sources[protocol] = sourceTable;
    const sources = [-1, ...sourceStarts];
    this.samples = samples.flatMap((sample) => sources.map((sourcePort) => ({ ...sample, sourcePort })));
  }

  /** Returns the class of a protocol and port (ICMP: type * 256 + code); the port is not looked at where the protocol has none. */
  classOf(protocol: number, port: number): number {
    const table = this.#tables[protocol];
    const number = table === undefined ? (this.#portless.get(protocol) ?? this.#anyPortless) : table[port];
    return this.sourceCount === 1 ? number : number * this.sourceCount;
  }

  /** Returns a class narrowed by the initiator's port; negative: it is not known. */
  withSource(portClass: number, protocol: number, sourcePort: number): number {
    const table = this.sourceCount === 1 || sourcePort < 0 ? undefined : this.#sources[protocol];
    return table === undefined ? portClass : portClass + table[sourcePort];
  }

  /** Calls back for every class of a protocol's ports from `first` to `last`, which must be a cut. */
  forEachIn({ protocol, first, last }: PortCut, each: (portClass: number) => void): void {
    const from = this.classOf(protocol, first);
    const to = this.classOf(protocol, last) + this.sourceCount;
    for (let portClass = from; portClass < to; portClass++) each(portClass);
  }
}

function startsOf(cuts: readonly PortCut[], protocol: number): number[] {
  const starts = new Set([0]);
  for (const cut of cuts) {
    if (cut.protocol !== protocol) continue;
    starts.add(cut.first);
    if (cut.last < 65535) starts.add(cut.last + 1);
  }
  return [...starts].sort((a, b) => a - b);
}
