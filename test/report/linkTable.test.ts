import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Pod } from "../../src/cluster/objects.ts";
import { compileConnectivity } from "../../src/evaluate/compare.ts";
import type { Connectivity } from "../../src/evaluate/connectivity.ts";
import { OTHER_PROTOCOLS, type PortSpan } from "../../src/evaluate/portSpace.ts";
import { DENY } from "../../src/evaluate/portVerdicts.ts";
import { profileOf } from "../../src/evaluate/profile.ts";
import { type Address, isIPv4 } from "../../src/net/address.ts";
import { parsePrefix, prefixContains } from "../../src/net/prefix.ts";
import { isIcmp, protocolName } from "../../src/net/protocol.ts";
import { loadRegexEngine } from "../../src/policy/regex.ts";
import { LinkTable } from "../../src/report/linkTable.ts";
import type { ShownEnd } from "../../src/report/shownEnds.ts";
import type { ShownPorts } from "../../src/report/shownPorts.ts";
import { clusterOf, policySetOf, snapshotText } from "../oracle/compiled.ts";
import { dialectWorlds } from "../oracle/dialectWorlds.ts";

/*
 * What reports list is what the links hold: each pair of ends on each port, read back from the listed names, prefixes and ports,
 * once and no more.
 */

await loadRegexEngine();
const seed = process.env.FC_SEED === undefined ? 20261123 : Number(process.env.FC_SEED);
const factor = Number(process.env.FC_RUNS ?? 1);

interface Listed {
  readonly source: ShownEnd;
  readonly destination: ShownEnd;
  readonly ports: readonly ShownPorts[];
  readonly family: number;
  readonly outcomes: string;
}

function inRanges(text: string, port: number): boolean {
  return text.split(",").some((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return port >= first && port <= last;
  });
}

/** ICMP: `8`, `0-3`, `3/4`, `3/4-5/6`. */
function holdsIcmp(text: string, number: number): boolean {
  return text.split(",").some((range) => {
    const [first, last = first] = range.split("-");
    const start = first.includes("/") ? first : `${first}/0`;
    const end = last.includes("/") ? last : `${last}/255`;
    const value = (each: string) => Number(each.split("/")[0]) * 256 + Number(each.split("/")[1]);
    return number >= value(start) && number <= value(end);
  });
}

function holdsPort({ protocol, ports, sourcePorts }: ShownPorts, span: PortSpan): boolean {
  if (protocol === "any") return true;
  if (protocol !== (span.protocol === OTHER_PROTOCOLS ? "other" : protocolName(span.protocol))) return false;
  if (sourcePorts !== undefined && !(span.sourceFirst >= 0 && inRanges(sourcePorts, span.sourceFirst))) return false;
  if (ports === null) return true;
  return isIcmp(span.protocol) ? holdsIcmp(ports, span.first) : inRanges(ports, span.first) && inRanges(ports, span.last);
}

function isPod({ type, namespace, workload, pods }: ShownEnd, pod: Pod): boolean {
  const isWorkload = type === "pod" && namespace === pod.namespace && workload === `${pod.workload.kind}/${pod.workload.name}`;
  return isWorkload && (pods === undefined || pods.includes(pod.name));
}

function isAddress({ type, prefixes = [], exceptPrefixes = [] }: ShownEnd, address: Address): boolean {
  const holds = (texts: readonly string[]) => texts.some((text) => prefixContains(parsePrefix(text)!, address));
  return type === "external" && holds(prefixes) && !holds(exceptPrefixes);
}

function listedOf(table: LinkTable): Listed[] {
  return [...table.pairs()].map(({ source, destination, group }) => ({
    source: table.ends[source],
    destination: table.ends[destination],
    ports: group.ports.ports,
    family: group.link.family,
    outcomes: group.ports.outcomes.join(),
  }));
}

/** What the links say of two classes on a span: 0 and nothing else where no link has them. */
function expectedOf(links: ReturnType<Connectivity["allowed"]>, s: number, d: number, family: number): number {
  const link = links.find(
    ({ sources, destinations, family: own }) =>
      (own === 0 || own === family) &&
      sources.kind === "pods" &&
      sources.classes.has(s) &&
      destinations.kind === "pods" &&
      destinations.classes.has(d),
  );
  return link?.verdicts[0] ?? DENY;
}

describe.each(["generic", "cilium", "calico"] as const)("links as they are listed under %s", (cni) => {
  test("each pair of pods and each outside address is listed on the ports that its link has", () => {
    fc.assert(
      fc.property(dialectWorlds(cni, 2), (world) => {
        const cluster = clusterOf(snapshotText(world.resources));
        const judged = { set: policySetOf(world.policies), world: cluster, profile: profileOf(cni), isInside: () => false };
        const connectivity = compileConnectivity([judged]);
        const links = connectivity.allowed();
        const table = new LinkTable(connectivity, links, ([outcome]) => outcome !== DENY);
        const listed = listedOf(table);
        const { verdicts } = connectivity;
        const fail = (what: string): never => {
          throw new Error(`${what} in ${JSON.stringify(world)}`);
        };
        const check = (rows: readonly Listed[], verdict: number, family: 4 | 6, what: string) =>
          verdicts.space.spans.forEach((span, number) => {
            if (!verdicts.space.isOf(number, family)) return;
            const found = rows.filter(
              (row) => (row.family === 0 || row.family === family) && row.ports.some((ports) => holdsPort(ports, span)),
            );
            const outcome = verdicts.outcomeAt(verdict, number);
            if (found.length !== (outcome === DENY ? 0 : 1) || (outcome !== DENY && found[0].outcomes !== `${outcome}`))
              fail(`${what} IPv${family} ${JSON.stringify(span)}: ${JSON.stringify(found)}, not ${outcome}`);
          });
        connectivity.classes.forEach(({ members: [[source]], ends }, s) => {
          for (const family of [4, 6] as const) {
            if (!ends[0].has(family)) continue;
            connectivity.classes.forEach(({ members: [[destination]], ends: others }, d) => {
              if (!others[0].has(family)) return;
              const rows = listed.filter((row) => isPod(row.source, source!) && isPod(row.destination, destination!));
              check(rows, expectedOf(links, s, d, family), family, `${source!.name} > ${destination!.name}`);
            });
            for (const end of connectivity.addresses.filter((each) => each.family === family)) {
              const link = links.find(
                ({ sources, destinations, family: own }) =>
                  (own === 0 || own === family) &&
                  sources.kind === "pods" &&
                  sources.classes.has(s) &&
                  destinations.kind === "outside" &&
                  destinations.role === connectivity.roles[0] &&
                  destinations.addresses.includes(end),
              );
              for (const address of end.ranges
                .flatMap(({ first, last }) => [first, last])
                .filter((each) => isIPv4(each) === (family === 4))) {
                const rows = listed.filter(
                  (row) => isPod(row.source, source!) && row.destination.names === undefined && isAddress(row.destination, address),
                );
                check(rows, link?.verdicts[0] ?? DENY, family, `${source!.name} > ${address}`);
              }
            }
          }
        });
        expect(table.size).toBe(listed.length);
        const order = listed.map((row) => JSON.stringify([table.ends.indexOf(row.source), table.ends.indexOf(row.destination)]));
        expect(order).toEqual(
          order.toSorted((a, b) => {
            const [[s, d], [t, e]] = [JSON.parse(a), JSON.parse(b)];
            return s - t || d - e;
          }),
        );
      }),
      { numRuns: Math.ceil(40 * factor), seed, endOnFailure: false },
    );
  });
});
