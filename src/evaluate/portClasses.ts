import { SCTP, TCP, UDP } from "../net/protocol.ts";

/** Protocols with ports, in the order of their tables. */
const PORT_PROTOCOLS = [TCP, UDP, SCTP];

/** A protocol and port (or ICMP type and code) that stands for its class. */
export interface PortSample {
  readonly protocol: number;
  /** The port; for protocols without ports -1. */
  readonly port: number;
}

/**
 * Cuts the ports of each protocol into classes that no policy tells apart: from port to class is one look-up. Protocols without
 * ports have a class each where a policy or a peculiarity of a plugin tells them apart, and share the last one otherwise.
 */
export class PortClasses {
  readonly samples: readonly PortSample[];
  readonly #tables: readonly Uint16Array[];
  readonly #portless: ReadonlyMap<number, number>;
  readonly #anyPortless: number;

  /** `cuts` holds, a protocol, the first ports of all ranges and the ports after their last ones. */
  constructor(cuts: ReadonlyMap<number, ReadonlySet<number>>, portless: readonly number[] = []) {
    const samples: PortSample[] = [];
    this.#tables = PORT_PROTOCOLS.map((protocol) => {
      const starts = [0, ...[...(cuts.get(protocol) ?? [])].filter((port) => port > 0 && port < 65536)].sort((a, b) => a - b);
      const table = new Uint16Array(65536);
      starts.forEach((start, i) => {
        if (i > 0 && start === starts[i - 1]) return;
        table.fill(samples.length, start);
        samples.push({ protocol, port: start });
      });
      return table;
    });
    this.#portless = new Map(portless.map((protocol) => [protocol, samples.push({ protocol, port: -1 }) - 1]));
    this.#anyPortless = samples.push({ protocol: 255, port: -1 }) - 1;
    this.samples = samples;
  }

  /** Returns the class of a protocol and port; the port is not looked at where the protocol has none. */
  classOf(protocol: number, port: number): number {
    const table = this.#tables[protocol === TCP ? 0 : protocol === UDP ? 1 : protocol === SCTP ? 2 : 3];
    return table === undefined ? (this.#portless.get(protocol) ?? this.#anyPortless) : table[port];
  }
}
