import { hasPorts, ICMP, ICMPV6 } from "../net/protocol.ts";
import type { Evaluator } from "./evaluator.ts";
import type { PortCut } from "./portClasses.ts";

/** Stands for every protocol that no policy names. */
export const OTHER_PROTOCOLS = -1;

/**
 * Ports of one protocol that no policy of any of the sets tells apart. `first` and `last` are inclusive: ports, for ICMP and ICMPv6
 * type * 256 + code, and -1 for protocols that have neither. So are the initiator's ports, -1 where no rule looks at them.
 */
export interface PortSpan {
  readonly protocol: number;
  readonly first: number;
  readonly last: number;
  readonly sourceFirst: number;
  readonly sourceLast: number;
}

const LAST_PORT = 65535;
/** Protocols that hardly any rule names: one of them stands for all that none does. */
const UNASSIGNED = 253;

/** The common refinement of the port classes of several evaluators: each span lies in one class of each of them. */
export class PortSpace {
  readonly spans: readonly PortSpan[];
  /** By evaluator: the class of each span. */
  readonly #classes: readonly Int32Array[];
  /** By evaluator and class: its spans, in order. */
  readonly #spansOf: readonly (readonly number[])[][];

  /** Each span lies wholly in each of the `cuts`, or wholly beside it. */
  constructor(evaluators: readonly Evaluator[], cuts: readonly PortCut[] = []) {
    const samples = evaluators.flatMap(({ ports }) => ports.samples);
    const sourceStarts = ascending(samples.flatMap(({ sourcePort }) => (sourcePort < 0 ? [] : [sourcePort])));
    const numbered = ascending(samples.flatMap(({ protocol, port }) => (port < 0 ? [] : [protocol])));
    const spans: PortSpan[] = [];
    for (const protocol of numbered) {
      const bounds = cuts.filter((cut) => cut.protocol === protocol).flatMap(({ first, last }) => [first, last + 1]);
      const starts = ascending([
        ...samples.flatMap((sample) => (sample.protocol === protocol ? [sample.port] : [])),
        ...bounds.filter((start) => start <= LAST_PORT),
      ]);
      const sources = hasPorts(protocol) && sourceStarts.length > 0 ? sourceStarts : [-1];
      starts.forEach((first, i) => {
        const last = (starts[i + 1] ?? LAST_PORT + 1) - 1;
        sources.forEach((sourceFirst, j) => {
          const sourceLast = sourceFirst < 0 ? -1 : (sources[j + 1] ?? LAST_PORT + 1) - 1;
          spans.push({ protocol, first, last, sourceFirst, sourceLast });
        });
      });
    }
    // The last sample of each evaluator stands for protocols that its policies do not name.
    const named = ascending(evaluators.flatMap(({ ports }) => namedPortless(ports.samples)));
    for (const protocol of [...named, OTHER_PROTOCOLS]) spans.push({ protocol, first: -1, last: -1, sourceFirst: -1, sourceLast: -1 });
    this.spans = spans;
    let other = UNASSIGNED;
    while (named.includes(other)) other--;
    this.#classes = evaluators.map(({ ports }) =>
      Int32Array.from(spans, ({ protocol, first, sourceFirst }) =>
        protocol === OTHER_PROTOCOLS
          ? ports.classOf(other, 0)
          : ports.withSource(ports.classOf(protocol, Math.max(first, 0)), protocol, sourceFirst),
      ),
    );
    this.#spansOf = this.#classes.map((classes, e) => {
      const lists: number[][] = Array.from({ length: evaluators[e].ports.samples.length }, () => []);
      classes.forEach((portClass, span) => lists[portClass].push(span));
      return lists;
    });
  }

  /** Returns the class of a span in evaluator number `evaluator`. */
  classOf(evaluator: number, span: number): number {
    return this.#classes[evaluator][span];
  }

  /** Returns the spans that make up a class of evaluator number `evaluator`. */
  spansOf(evaluator: number, portClass: number): readonly number[] {
    return this.#spansOf[evaluator][portClass];
  }

  /** Reports whether ends of an address family can use a span: ICMP is IPv4's and ICMPv6 is IPv6's. Family 0: either may be. */
  isOf(span: number, family: 0 | 4 | 6): boolean {
    const { protocol } = this.spans[span];
    return family === 0 || protocol !== (family === 4 ? ICMPV6 : ICMP);
  }
}

/** Protocols without numbers that policies name; the last sample is none of them. */
function namedPortless(samples: Evaluator["ports"]["samples"]): number[] {
  const { protocol: rest } = samples[samples.length - 1];
  return samples.flatMap(({ protocol, port }, i) =>
    port >= 0 || (protocol === rest && i >= samples.findLastIndex((sample) => sample.protocol !== rest)) ? [] : [protocol],
  );
}

function ascending(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}
