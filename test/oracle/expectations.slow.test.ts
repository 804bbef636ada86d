import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { judgeTest } from "../../src/cli/policyTest.ts";
import { readPolicyTest } from "../../src/cli/policyTestFile.ts";
import { readManifest } from "../../src/cluster/manifest.ts";
import { BitSet } from "../../src/evaluate/bitSet.ts";
import { holdsNumber } from "../../src/evaluate/cell.ts";
import { type EndSet, endOf, type OneEnd } from "../../src/evaluate/connectivity.ts";
import { combine } from "../../src/evaluate/decision.ts";
import { familiesOf } from "../../src/evaluate/expectation.ts";
import { decideByRequests } from "../../src/evaluate/l7.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { type Address, formatAddress, parseAddress } from "../../src/net/address.ts";
import { type Prefix, parsePrefix, prefixContains } from "../../src/net/prefix.ts";
import { hasPorts, protocolName, TCP, UDP } from "../../src/net/protocol.ts";
import type { PortMatch } from "../../src/policy/model.ts";
import { loadRegexEngine } from "../../src/policy/regex.ts";
import { countsOf } from "../../src/report/policyTestResult.ts";
import { clusterOf, policySetOf, snapshotText } from "./compiled.ts";
import { type DialectWorld, dialectWorlds } from "./dialectWorlds.ts";
import { API_SERVERS, answers, type End, isRelevant, isSame, prepare, samplesOf } from "./exhaustive.ts";

/*
 * What `test` says of expectations against asking every pair: "from A to anything but B on P: deny", and the other way round, in random
 * worlds of every dialect. An expectation holds exactly where every answer is the expected one.
 */

await loadRegexEngine();
const seed = process.env.FC_SEED === undefined ? 20261123 : Number(process.env.FC_SEED);
const factor = Number(process.env.FC_RUNS ?? 1);

/** Outside prefixes that expectations leave out; policies name some of them, and parts of others. */
const PREFIXES = ["10.0.0.0/8", "203.0.113.0/24", "203.0.113.7/32", "198.51.100.0/25", "0.0.0.0/1", "2001:db8::/32"];
const PORTS = ["any", "80/TCP", "443", "79-8080/TCP", "53/UDP", "TCP", "65535/UDP"];

interface Asked {
  readonly world: DialectWorld;
  /** The end that is named, by number among the pods. */
  readonly one: number;
  /** Pods that are left out, as a number of each. */
  readonly others: readonly number[];
  readonly prefixes: readonly string[];
  /** The prefixes are what is meant, and not what is left out. */
  readonly isOnly: boolean;
  readonly leavesOut: readonly ("nodes" | "pods" | "outside")[];
  readonly ports: string;
  readonly verdict: "allow" | "deny";
  readonly isFrom: boolean;
}

const asked = (cni: "generic" | "cilium" | "calico") =>
  fc.record<Asked>({
    world: dialectWorlds(cni, 2),
    one: fc.nat(20),
    others: fc.uniqueArray(fc.nat(20), { maxLength: 4 }),
    prefixes: fc.uniqueArray(fc.constantFrom(...PREFIXES), { maxLength: 2 }),
    isOnly: fc.boolean(),
    leavesOut: fc.uniqueArray(fc.constantFrom("nodes" as const, "pods" as const, "outside" as const), { maxLength: 2 }),
    ports: fc.constantFrom(...PORTS),
    verdict: fc.constantFrom("allow" as const, "deny" as const),
    isFrom: fc.boolean(),
  });

/** The bounds of what is written as `79-8080/TCP`. */
function rangeOf(text: string): { protocol: number; first: number; last: number } | undefined {
  if (text === "any") return undefined;
  if (text === "TCP") return { protocol: TCP, first: 0, last: 65535 };
  const [numbers, protocol = "TCP"] = text.split("/");
  const [first, last = first] = numbers.split("-").map(Number);
  return { protocol: protocol === "UDP" ? UDP : TCP, first, last };
}

/** Pods move, so that any node may be another one than theirs; what their own asks of them passes in any case, and mostly the reverse. */
function relationsOf(end: End, isFrom: boolean, cni: CniName): End[] {
  const { participant } = end;
  if (participant.type !== "node") return [end];
  const relations = isFrom && profileOf(cni).podToOwnNode === "judge" ? (["other", "own"] as const) : (["other"] as const);
  return relations.map((relation) => ({ ...end, participant: { ...participant, relation } }));
}

/** What the plugin passes or drops whatever policies say. */
function isPeculiar(cni: CniName, sample: { protocol: number; port: number }): boolean {
  const { icmpAlwaysPasses, dropped } = profileOf(cni);
  return [...icmpAlwaysPasses, ...dropped.egress, ...dropped.ingress].some((match: PortMatch) => holdsNumber(match, sample));
}

const addressOf = ({ participant }: End): Address => ("address" in participant ? participant.address! : 0n);

/** Asks every pair of ends, and on every span the first and last port that is meant. Returns the answers that are not as expected. */
function contradictions({ world, one, others, prefixes, isOnly, leavesOut, ports, verdict, isFrom }: Asked, cni: CniName) {
  const cut = prefixes.map((text) => parsePrefix(text)!);
  const edges = cut.flatMap(({ first, last }: Prefix) => [first, last, first - 1n, last + 1n]).filter((address) => address > 0n);
  const what = prepare(world, [policySetOf(world.policies)], cni, edges);
  const { ends, connectivity } = what;
  const pods = [...new Set(ends.flatMap(({ participant }) => (participant.type === "pod" ? [participant.pod] : [])))].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  if (pods.length === 0) return undefined;
  const named = pods[one % pods.length];
  const left = new Set(others.map((number) => pods[number % pods.length]));
  const isLeftOut = (end: End): boolean => {
    const { participant } = end;
    const isInCut = participant.type === "external" && cut.some((prefix) => prefixContains(prefix, addressOf(end)));
    if (isOnly && cut.length > 0) return !isInCut;
    if (participant.type === "pod") return leavesOut.includes("pods") || left.has(participant.pod);
    if (participant.type === "node") return leavesOut.includes("nodes");
    if (participant.type === "external") return leavesOut.includes("outside") || isInCut;
    return false;
  };
  const range = rangeOf(ports);
  const found: string[] = [];
  let isAboutAny = false;
  const mine = ends.filter(({ participant }) => participant.type === "pod" && participant.pod === named);
  for (const own of mine)
    for (const other of ends.filter((end) => !isLeftOut(end)).flatMap((end) => relationsOf(end, isFrom, cni))) {
      if (own.family !== other.family || !isRelevant(own) || !isRelevant(other)) continue;
      const [source, destination] = isFrom ? [own, other] : [other, own];
      const to = isSame(source, destination) ? destination.twin! : destination.participant;
      connectivity.verdicts.space.spans.forEach((span, i) => {
        if (!connectivity.verdicts.space.isOf(i, own.family)) return;
        if (range !== undefined && (span.protocol !== range.protocol || span.last < range.first || span.first > range.last)) return;
        for (const sample of samplesOf(span)) {
          const port = range === undefined ? sample.port : Math.min(Math.max(sample.port, range.first), range.last);
          if (range === undefined && isPeculiar(cni, { ...sample, port: hasPorts(sample.protocol) ? port : sample.port })) continue;
          isAboutAny = true;
          const [answer] = answers(what, source.participant, to, { ...sample, port });
          if (answer !== verdict)
            found.push(`${keyText(source)} > ${keyText(destination)} ${port}/${protocolName(sample.protocol)}: ${answer}`);
        }
      });
    }
  return { found, isAboutAny, named: { pod: named, left: [...left] } };
}

function keyText({ participant }: End): string {
  return participant.type === "pod"
    ? participant.pod.name
    : `${participant.type} ${formatAddress((participant as { address: Address }).address)}`;
}

/** What the program says of the same. */
function judge(
  { world, prefixes, isOnly, leavesOut, ports, verdict, isFrom }: Asked,
  cni: CniName,
  one: string,
  others: readonly string[],
) {
  const cluster = { ...clusterOf(snapshotText(world.resources)), apiServers: API_SERVERS };
  const except = [...others, ...prefixes, ...leavesOut];
  const rest = isOnly && prefixes.length > 0 ? prefixes : except.length === 0 ? "any" : { except };
  const expectation = { from: isFrom ? one : rest, to: isFrom ? rest : one, ports, verdict };
  const text = JSON.stringify({
    apiVersion: "kguardian.dev/v1alpha1",
    kind: "PolicyTest",
    metadata: { name: "random" },
    spec: { expectations: [expectation] },
  });
  const { test: read, problems } = readPolicyTest(readManifest(text, "test.json")[0]);
  if (read === undefined) throw new Error(JSON.stringify(problems));
  return judgeTest(read, {
    cluster,
    namespace: "default",
    judged: { set: policySetOf(world.policies), world: { ...cluster }, profile: profileOf(cni), isInside: () => false },
    cni: { name: cni, because: "as the test says", caveats: [] },
    warnings: [],
  });
}

describe.each(["generic", "cilium", "calico"] as const)("expectations under %s", (cni) => {
  test("hold exactly where every pair and port agrees", () => {
    const seen = { held: 0, failed: 0 };
    fc.assert(
      fc.property(asked(cni), (one) => {
        const real = contradictions(one, cni);
        if (real === undefined || !real.isAboutAny) return;
        const { pod, left } = real.named;
        const nameOf = ({ addresses: [address] }: { addresses: readonly Address[] }) => formatAddress(address);
        const result = judge(one, cni, nameOf(pod), left.map(nameOf));
        const [{ examples }] = result.expectations;
        const certain = examples.filter(({ verdict }) => verdict !== "unknown");
        seen[real.found.length === 0 ? "held" : "failed"]++;
        const say = () =>
          `${real.found.slice(0, 5).join("\n")}\n${JSON.stringify(examples.map(({ verdict, why, links }) => [verdict, why, links.rows(3).map(({ from, to, ports }) => [from, to, ports.text])]))}\n${JSON.stringify(one)}`;
        if (real.found.length > 0 && examples.length === 0) throw new Error(`it passes, and there is\n${say()}`);
        // Rules on requests may be open in what none of the requests here shows.
        if (real.found.length === 0 && certain.length > 0) throw new Error(`it fails, and everything agrees\n${say()}`);
        expect(countsOf({ tests: [result], warnings: [] }).failed).toBe(examples.length > 0 ? 1 : 0);
      }),
      { numRuns: Math.ceil(60 * factor), seed, endOnFailure: true },
    );
    expect(Math.min(seen.held, seen.failed)).toBeGreaterThan(5);
  });
});

describe.each(["generic", "cilium", "calico"] as const)("decisions on one pair under %s", (cni) => {
  test("are what is listed of all traffic, and all traffic is listed once", () => {
    let asked = 0;
    fc.assert(
      fc.property(dialectWorlds(cni, 2), (world) => {
        const { connectivity, ends } = prepare(world, [policySetOf(world.policies)], cni);
        const { verdicts, classes, families } = connectivity;
        const links = connectivity.everything();
        const listed = new Set<string>();
        for (const link of links) {
          const [number] = link.verdicts;
          for (const source of oneEnds(link.sources))
            for (const destination of oneEnds(link.destinations))
              for (const family of familiesOf(connectivity, { ...link, sources: source.set, destinations: destination.set })) {
                const key = `${family} ${source.key} > ${destination.key}`;
                if (listed.has(key)) throw new Error(`${key} is listed twice in ${JSON.stringify(world)}`);
                listed.add(key);
                verdicts.space.spans.forEach((_, span) => {
                  if (!verdicts.space.isOf(span, family)) return;
                  const decided = connectivity.decide(source.end, destination.end, family, span);
                  const [egress, ingress] = [decided.egress, decided.ingress].map((side) => decideByRequests(side, []).verdict);
                  const { verdict } = verdicts.meaningOf(verdicts.outcomeAt(number, span));
                  asked++;
                  if (combine(egress, ingress) !== verdict)
                    throw new Error(`${key}: ${egress}, ${ingress}, listed ${verdict} in ${JSON.stringify(world)}`);
                });
              }
        }
        // Every pair of pods with addresses of one family, in each that both have.
        for (const family of families)
          classes.forEach((from, s) => {
            classes.forEach((to, d) => {
              const isPair = endOf(from, 0, family) !== undefined && endOf(to, 0, family) !== undefined;
              if (listed.has(`${family} p${s} > p${d}`) !== isPair) throw new Error(`${family} p${s} > p${d} in ${JSON.stringify(world)}`);
            });
          });
        expect(ends.length).toBeGreaterThan(0);
      }),
      { numRuns: Math.ceil(30 * factor), seed, endOnFailure: true },
    );
    expect(asked).toBeGreaterThan(1000);
  });
});

/** Parts a set into single ends. */
function oneEnds(set: EndSet): { key: string; end: OneEnd; set: EndSet }[] {
  switch (set.kind) {
    case "pods": {
      const numbers: number[] = [];
      set.classes.forEach((number) => numbers.push(number));
      return numbers.map((number) => {
        const classes = new BitSet(set.classes.size);
        classes.add(number);
        return { key: `p${number}`, end: { kind: "pods", number }, set: { kind: "pods", classes } };
      });
    }
    case "nodes":
      return set.nodes.map((node) => ({
        key: `n${node.names} ${node.relation} ${node.family} ${JSON.stringify(node.parties)}`,
        end: { kind: "nodes", parties: node.parties },
        set: { kind: "nodes", nodes: [node] },
      }));
    case "entity":
      return [{ key: set.entity.entity, end: { kind: "entity", parties: set.entity.parties }, set }];
    case "outside":
      return set.addresses.map((address) => ({
        key: `o${address.family} ${address.classes} ${JSON.stringify(set.role)}`,
        end: { kind: "outside", role: set.role, address },
        set: { ...set, addresses: [address] },
      }));
  }
}

test("addresses of random worlds are those that the tests name", () => {
  expect(PREFIXES.map((text) => parsePrefix(text) !== undefined && parseAddress(text.split("/")[0]) !== undefined)).not.toContain(false);
});
