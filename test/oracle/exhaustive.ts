import type { Pod } from "../../src/cluster/objects.ts";
import { compileConnectivity } from "../../src/evaluate/compare.ts";
import type { Connectivity } from "../../src/evaluate/connectivity.ts";
import { combine, type Decision } from "../../src/evaluate/decision.ts";
import { Evaluator, type Participant, type World } from "../../src/evaluate/evaluator.ts";
import { decideByRequests, type Request } from "../../src/evaluate/l7.ts";
import { outsideNames, type Role } from "../../src/evaluate/otherEnds.ts";
import type { PortSpan } from "../../src/evaluate/portSpace.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { NameTable } from "../../src/flow/names.ts";
import { type Address, isIPv4, parseAddress } from "../../src/net/address.ts";
import type { PolicySet } from "../../src/policy/model.ts";
import { clusterOf, snapshotText } from "./compiled.ts";
import { HTTP_PATHS } from "./dialectPools.ts";
import type { DialectWorld } from "./dialectWorlds.ts";

/* Every end that there is in a random world, and what becomes of traffic between two of them, asked one by one. */

/** Where the API server of random worlds is. */
export const API_SERVERS: ReadonlySet<Address> = new Set([parseAddress("192.0.2.12")!]);

const REQUESTS: readonly Request[] = [
  {},
  ...HTTP_PATHS.flatMap((path) =>
    ["GET", "POST"].map(
      (method, index): Request => ({ http: { method, path, host: "h", headers: index === 0 ? { "x-token": "1" } : {} } }),
    ),
  ),
];

/** One end that is asked about: who it is, and the key of the set that it must be found in. */
export interface End {
  readonly key: string;
  readonly family: 4 | 6;
  readonly participant: Participant;
  /** Another pod like it, for the pair with itself. */
  readonly twin?: Participant;
  /** What it is outside the cluster, where it is. */
  readonly role?: Role;
}

const twinOf = (pod: Pod): Pod => ({ ...pod, name: `${pod.name}-twin` });

export interface Exhaustive {
  readonly connectivity: Connectivity;
  readonly ends: readonly End[];
  readonly evaluators: readonly Evaluator[];
}

/** Compiles sets in one world for comparison, and again for asking one by one. `others`: outside addresses that are asked about, too. */
export function prepare(
  { resources }: Pick<DialectWorld, "resources">,
  sets: readonly PolicySet[],
  cni: CniName,
  others: readonly Address[] = [],
): Exhaustive {
  const cluster = clusterOf(snapshotText(resources));
  const world: World = { ...cluster, apiServers: API_SERVERS };
  const profile = profileOf(cni);
  const connectivity = compileConnectivity(sets.map((set) => ({ set, world, profile, isInside: () => false })));
  const names = new NameTable();
  const ends: End[] = [];
  const twins = new Map<Pod, Pod>(world.pods.map((pod) => [pod, twinOf(pod)]));
  connectivity.classes.forEach(({ members }, number) => {
    for (const [pod] of members)
      for (const address of pod!.addresses)
        ends.push({
          key: `p${number}`,
          family: familyOf(address),
          participant: { type: "pod", pod: pod!, address },
          twin: { type: "pod", pod: twins.get(pod!)!, address },
        });
  });
  for (const node of world.nodes)
    for (const address of node.addresses)
      ends.push({ key: `n${node.name}`, family: familyOf(address), participant: { type: "node", node, address } });
  for (const { entity } of connectivity.entities)
    for (const address of ["192.0.2.13", "fd00:0:0:9::3"].map((text) => parseAddress(text)!))
      ends.push({ key: `e${entity}`, family: familyOf(address), participant: { type: "reserved", entity, address } });
  ends.push(...outsideEnds(connectivity, names, outsideNames(sets.flatMap(({ policies }) => policies)), others));
  const evaluators = sets.map((set) => new Evaluator(set, { ...world, pods: [...world.pods, ...twins.values()], names }, profile));
  return { connectivity, ends, evaluators };
}

export function familyOf(address: Address): 4 | 6 {
  return isIPv4(address) ? 4 : 6;
}

/** The first and last address of every interval without a name; roles take turns at the intervals' other addresses. */
function outsideEnds(
  { addresses, roles }: Connectivity,
  names: NameTable,
  examples: readonly { text: string; example: string }[],
  others: readonly Address[],
): End[] {
  const ends: End[] = [];
  const taken = new Set<Address>();
  const add = (end: number, family: 4 | 6, address: Address, roleNumber: number) => {
    if (taken.has(address)) return;
    taken.add(address);
    const role = roles[roleNumber];
    if (role.name === undefined) names.know(address);
    else names.add(address, examples.find(({ text }) => text === role.name)!.example);
    const participant = { type: "external", address, isApiServer: role.isApiServer === true } as const;
    ends.push({ key: `o${roleNumber} ${end}`, family, participant, role });
  };
  addresses.forEach(({ ranges, family }, end) => {
    for (const { first, last } of ranges) {
      add(end, family, first, 0);
      add(end, family, last, 0);
    }
    const { first, last } = ranges[0];
    roles.forEach(({ name, isApiServer }, number) => {
      // An API server that bears a name is told where that makes a difference: test/evaluate/compare.test.ts.
      if (name !== undefined && isApiServer) return;
      if (number > 0 && first + BigInt(number) < last) add(end, family, first + BigInt(number), number);
    });
  });
  // What is asked about may part intervals: every role is asked about in each part.
  for (const from of others.length === 0 ? [] : [...others, ...addresses.flatMap(({ ranges }) => ranges.map(({ first }) => first))])
    roles.forEach(({ name, isApiServer }, number) => {
      if (name !== undefined && isApiServer) return;
      const address = from + BigInt(number);
      const end = addresses.findIndex(({ ranges }) => ranges.some(({ first, last }) => address >= first && address <= last));
      if (end >= 0) add(end, familyOf(address), address, number);
    });
  return ends;
}

/** Decides for both evaluators, by every request; "unknown" where the request does not tell. */
export function answers(
  { evaluators }: Exhaustive,
  source: Participant,
  destination: Participant,
  { protocol, port, sourcePort }: Sample,
): string[] {
  return evaluators.map((evaluator) => {
    const portClass = evaluator.ports.withSource(evaluator.ports.classOf(protocol, port), protocol, sourcePort);
    const [from, to] = [evaluator.classify(source), evaluator.classify(destination)];
    const decisions = [evaluator.decideEgress(from, to, portClass), evaluator.decideIngress(from, to, portClass)].map(
      (id): Decision => evaluator.decisions[id],
    );
    const isOpen = decisions.some(({ l7 }) => l7 !== undefined);
    const requests = isOpen ? REQUESTS.map((request) => [request]) : [[]];
    const verdicts = requests.map((request) => {
      const [egress, ingress] = decisions.map((decision) => decideByRequests(decision, request).verdict);
      return combine(egress, ingress);
    });
    return new Set(verdicts).size === 1 ? verdicts[0] : verdicts.join();
  });
}

export interface Sample {
  readonly protocol: number;
  readonly port: number;
  readonly sourcePort: number;
}

/** The first and last port of a span; 255 stands for protocols that nobody names. */
export function samplesOf({ protocol, first, last, sourceFirst, sourceLast }: PortSpan): Sample[] {
  return [
    { protocol: protocol < 0 ? 251 : protocol, port: Math.max(first, 0), sourcePort: sourceFirst },
    { protocol: protocol < 0 ? 253 : protocol, port: Math.max(last, 0), sourcePort: sourceLast },
  ];
}

export function keyOf(end: End, other: End): string {
  if (end.participant.type !== "node" || other.participant.type !== "pod") return end.key;
  return `${end.key} ${other.participant.pod.nodeName === end.participant.node.name ? "own" : "other"}`;
}

export function isSame({ participant: a }: End, { participant: b }: End): boolean {
  return a.type === "pod" && b.type === "pod" && a.pod === b.pod;
}

/** Pods of no known node have no own one. */
export function isRelevant({ participant }: End): boolean {
  return participant.type !== "pod" || participant.pod.nodeName !== undefined;
}
