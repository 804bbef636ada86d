import type { Family } from "../evaluate/podClasses.ts";
import { OTHER_PROTOCOLS, type PortSpan } from "../evaluate/portSpace.ts";
import type { PortVerdicts } from "../evaluate/portVerdicts.ts";
import { formatPortRange } from "../net/portRange.ts";
import { hasPorts, isIcmp, protocolName } from "../net/protocol.ts";

/** Ports of one protocol that share an outcome. */
export interface ShownPorts {
  /** `any`: all protocols, with all their ports; `other`: those that no policy names. */
  readonly protocol: string;
  /** `80,443,8000-8100`; null for protocols without ports, and where all are meant. ICMP: types, `8`, or `3/4` with a code. */
  readonly ports: string | null;
  /** The initiator's, where only some are meant. */
  readonly sourcePorts?: string;
}

/** Everything that shares outcomes: one by evaluator. */
export interface PortGroup {
  readonly outcomes: readonly number[];
  readonly ports: readonly ShownPorts[];
  /** The same for people, without what always passes; empty where nothing else is left. */
  readonly text: string;
}

/**
 * Returns the ports of each combination of outcomes that verdicts have, in the order of protocols and ports. `alwaysPasses`: what the
 * plugin lets through whatever policies say, of which people need not read.
 */
export function portGroups(
  verdicts: PortVerdicts,
  numbers: readonly number[],
  family: Family,
  alwaysPasses: (span: PortSpan) => boolean = () => false,
): PortGroup[] {
  const groups = new Map<string, { outcomes: readonly number[]; spans: number[] }>();
  const add = (start: number, end: number, outcomes: readonly number[]) => {
    const key = outcomes.join();
    let group = groups.get(key);
    if (group === undefined) groups.set(key, (group = { outcomes, spans: [] }));
    for (let span = start; span < end; span++) if (verdicts.space.isOf(span, family)) group.spans.push(span);
  };
  const [first, second] = numbers;
  if (second === undefined) for (const { start, end, outcome } of verdicts.runsOf(first)) add(start, end, [outcome]);
  else verdicts.forEachPair(first, second, (start, end, a, b) => add(start, end, [a, b]));
  const all = verdicts.space.spans.filter((_, span) => verdicts.space.isOf(span, family));
  const told = (spans: readonly PortSpan[]) => spans.filter((span) => !alwaysPasses(span));
  return [...groups.values()]
    .filter(({ spans }) => spans.length > 0)
    .map(({ outcomes, spans }) => {
      const own = spans.map((span) => verdicts.space.spans[span]);
      return { outcomes, ports: shownPorts(own, all), text: portsText(told(own), told(all)) };
    });
}

/** Returns spans as ports, protocol by protocol. */
function shownPorts(spans: readonly PortSpan[], all: readonly PortSpan[]): ShownPorts[] {
  if (spans.length === all.length) return [{ protocol: "any", ports: null }];
  const byProtocol = Map.groupBy(spans, ({ protocol }) => protocol);
  return [...byProtocol].flatMap(([protocol, own]) => {
    const whole = all.filter((span) => span.protocol === protocol);
    const name = protocol === OTHER_PROTOCOLS ? "other" : protocolName(protocol);
    if (own.length === whole.length) return [{ protocol: name, ports: hasPorts(protocol) ? "0-65535" : null }];
    return bySources(own, whole).map(({ sources, ranges }) => ({
      protocol: name,
      ports: isIcmp(protocol) ? icmpText(ranges) : joined(ranges).map(formatPortRange).join(),
      ...(sources === "" ? {} : { sourcePorts: sources }),
    }));
  });
}

interface Range {
  readonly first: number;
  readonly last: number;
}

/** Groups the ranges of one protocol by the initiator's ports that they are for; "": any. */
function bySources(own: readonly PortSpan[], whole: readonly PortSpan[]): { sources: string; ranges: Range[] }[] {
  const sourceCount = new Set(whole.map(({ sourceFirst }) => sourceFirst)).size;
  const groups = new Map<string, Range[]>();
  for (const [, spans] of Map.groupBy(own, ({ first }) => first)) {
    const [{ first, last }] = spans;
    const sources =
      spans.length === sourceCount
        ? ""
        : joined(spans.map(({ sourceFirst, sourceLast }) => ({ first: sourceFirst, last: sourceLast })))
            .map(formatPortRange)
            .join();
    const ranges = groups.get(sources);
    if (ranges === undefined) groups.set(sources, [{ first, last }]);
    else ranges.push({ first, last });
  }
  return [...groups].map(([sources, ranges]) => ({ sources, ranges }));
}

/** Joins ranges that follow each other. */
function joined(ranges: readonly Range[]): Range[] {
  const result: Range[] = [];
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const last = result.at(-1);
    if (last !== undefined && last.last + 1 === range.first) result[result.length - 1] = { first: last.first, last: range.last };
    else result.push(range);
  }
  return result;
}

/** Numbers are type * 256 + code. */
function icmpText(ranges: readonly Range[]): string {
  return joined(ranges)
    .flatMap(({ first, last }) => {
      const [type, code] = [first >> 8, first & 255];
      const [lastType, lastCode] = [last >> 8, last & 255];
      if (code === 0 && lastCode === 255) return [type === lastType ? `${type}` : `${type}-${lastType}`];
      return first === last ? [`${type}/${code}`] : [`${type}/${code}-${lastType}/${lastCode}`];
    })
    .join();
}

/** Ports as people write them; what is nearly everything is told by what it leaves out. */
function portsText(spans: readonly PortSpan[], all: readonly PortSpan[]): string {
  if (spans.length === 0) return "";
  if (spans.length === all.length) return "every port";
  if (!spans.some(({ protocol }) => protocol === OTHER_PROTOCOLS)) return listText(shownPorts(spans, all));
  const own = new Set(spans);
  return `every port but ${listText(
    shownPorts(
      all.filter((span) => !own.has(span)),
      all,
    ),
  )}`;
}

function listText(ports: readonly ShownPorts[]): string {
  return ports
    .map(({ protocol, ports: numbers, sourcePorts }) => {
      const source = sourcePorts === undefined ? "" : ` from port ${sourcePorts}`;
      if (protocol === "other") return "other protocols";
      if (numbers === null || numbers === "0-65535") return `any ${protocol}${source}`;
      return protocol.startsWith("ICMP") ? `${protocol} type ${numbers}` : `${numbers}/${protocol}${source}`;
    })
    .join(", ");
}
