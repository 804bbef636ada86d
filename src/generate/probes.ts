import type { Namespace, Pod } from "../cluster/objects.ts";
import { NAMESPACE_NAME } from "../cluster/objects.ts";
import { selects } from "../cluster/selector.ts";
import type { EndpointResolver } from "../evaluate/endpoints.ts";
import type { Participant } from "../evaluate/evaluator.ts";
import type { Request } from "../evaluate/l7.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { rangeContains } from "../net/portRange.ts";
import { type Prefix, prefixContains, wholeAddress } from "../net/prefix.ts";
import { hasPorts, protocolName } from "../net/protocol.ts";
import type { Direction, Peer, PortMatch } from "../policy/model.ts";
import type { Example, SeenPort } from "./gather.ts";
import type { PlannedPolicy } from "./plan.ts";
import type { PlannedRule } from "./rules.ts";

/** A connection just outside a rule, which only a rule with evidence of its own may allow. */
export interface Probe {
  readonly policy: PlannedPolicy;
  /** Number of the rule in the policy. */
  readonly rule: number;
  readonly direction: Direction;
  readonly subject: Participant;
  readonly peer: Participant;
  readonly protocol: number;
  readonly port: number;
  /** What is off by one: completes "with …". */
  readonly what: string;
  /** Whether another peer of the same rule, with evidence of its own, holds it. */
  readonly isOfOtherPeer?: true;
  /** What is asked there, of rules on requests. */
  readonly request?: Request;
}

/** Probes, and the pods and namespaces that they need in the world. */
export interface Probes {
  readonly probes: readonly Probe[];
  readonly pods: readonly Pod[];
  readonly namespaces: readonly Namespace[];
}

/** A namespace that no cluster has: pods in it have every label right and the namespace wrong. */
const ELSEWHERE = "kguardian-probe";
const LAST_ADDRESS = 2n ** 128n - 1n;

/** Returns the probes beside every rule: the port beside it, a pod with one label off or in another namespace, the address beside a prefix. */
export function makeProbes(policies: readonly PlannedPolicy[], resolver: EndpointResolver): Probes {
  const maker = new ProbeMaker(resolver);
  for (const policy of policies) policy.rules.forEach((rule, i) => maker.add(policy, rule, i));
  const namespace: Namespace = { name: ELSEWHERE, labels: { [NAMESPACE_NAME]: ELSEWHERE }, labelsKnown: true };
  return { probes: maker.probes, pods: [...maker.pods.values()], namespaces: [namespace] };
}

class ProbeMaker {
  readonly probes: Probe[] = [];
  readonly pods = new Map<string, Pod>();
  readonly #resolver: EndpointResolver;

  constructor(resolver: EndpointResolver) {
    this.#resolver = resolver;
  }

  add(policy: PlannedPolicy, planned: PlannedRule, rule: number): void {
    const { direction, seen } = planned;
    const push = (example: Example, protocol: number, port: number, what: string, peer: Participant = example.peer) =>
      this.probes.push({ policy, rule, direction, subject: example.subject, peer, protocol, port, what });
    const [first] = seen;
    if (first === undefined) return;
    for (const { protocol, port } of portsBeside(planned)) push(first.example, protocol, port, `port ${port}/${protocolName(protocol)}`);
    const odd = oddRequest(planned);
    if (odd !== undefined)
      this.probes.push({
        policy,
        rule,
        direction,
        ...first.example,
        protocol: first.protocol,
        port: first.port,
        what: "a request that nobody made",
        request: odd,
      });
    const peers = planned.rule.peers === "any" ? [] : planned.rule.peers;
    const prefixes = peers.flatMap((peer) => (peer.kind === "prefix" ? [peer.prefix] : []));
    for (const address of addressesBeside(prefixes))
      push(first.example, first.protocol, first.port, `address ${formatAddress(address)}`, this.#participantAt(address));
    for (const peer of peers) {
      const example = exampleOf(peer, seen);
      if (example === undefined) continue;
      const { example: between, protocol, port } = example.seen;
      for (const { pod, what } of this.#podsBeside(peer, example.pod)) {
        const other = peers.find((each) => each !== peer && holdsPod(each, pod));
        const probe = {
          policy,
          rule,
          direction,
          subject: between.subject,
          peer: { type: "pod", pod, address: example.address },
          protocol,
          port,
          what,
        } as const;
        this.probes.push(other === undefined ? probe : { ...probe, isOfOtherPeer: true });
      }
    }
  }

  /** Whoever has the address beside; of an unknown one, the outside. */
  #participantAt(address: Address): Participant {
    const participant = this.#resolver.participantOf(address, Number.NaN);
    return participant.type === "unknown" ? { type: "external", address } : participant;
  }

  #podsBeside(peer: Peer, pod: Pod): { pod: Pod; what: string }[] {
    if (peer.kind !== "pods") return [];
    const keys = [...new Set(peer.match.pods.requirements.map(({ key }) => key))];
    const found = keys.map((key) => {
      const { [key]: value, ...others } = pod.labels;
      const labels = value === undefined ? { ...others, [key]: "probe" } : { ...others, [key]: differing(value) };
      return { pod: this.#pod(pod, pod.namespace, labels), what: `label ${key}=${labels[key]} on ${pod.namespace}/${pod.name}` };
    });
    // A selector may hold although one label is off, as with `Exists`: that is no probe.
    const outside = found.filter((each) => !selects(peer.match.pods, each.pod.labels));
    return [
      ...outside,
      { pod: this.#pod(pod, ELSEWHERE, pod.labels), what: `the labels of ${pod.namespace}/${pod.name} in another namespace` },
    ];
  }

  /** Returns a pod like another one, made once for each namespace and labels. */
  #pod(like: Pod, namespace: string, labels: Readonly<Record<string, string>>): Pod {
    const key = JSON.stringify([namespace, Object.entries(labels).sort()]);
    let pod = this.pods.get(key);
    if (pod === undefined) {
      const { uid: _uid, nodeName: _node, ...rest } = like;
      pod = { ...rest, namespace, name: `probe-${this.pods.size}`, labels };
      this.pods.set(key, pod);
    }
    return pod;
  }
}

function holdsPod(peer: Peer, pod: Pod): boolean {
  if (peer.kind !== "pods" || !("name" in peer.match.namespaces)) return false;
  return peer.match.namespaces.name === pod.namespace && selects(peer.match.pods, pod.labels);
}

/** Returns a request that no rule was made from; undefined where the rule takes any. */
function oddRequest({ rule: { l7 = [] } }: PlannedRule): Request | undefined {
  if (l7.some(({ kind }) => kind === "http")) return { http: { method: "PROBE", path: "/kguardian-probe/nobody-asked", headers: {} } };
  return l7.some((match) => match.kind === "dns" && match.names.text !== "*") ? { dns: { query: "kguardian-probe.invalid" } } : undefined;
}

/** Returns another label value, as long as it may be. */
export function differing(value: string): string {
  return value.length < 60 ? `${value}-x` : `${value.slice(0, -1)}${value.endsWith("x") ? "y" : "x"}`;
}

function exampleOf(peer: Peer, seen: readonly SeenPort[]): { pod: Pod; address: Address | undefined; seen: SeenPort } | undefined {
  if (peer.kind !== "pods" || !("name" in peer.match.namespaces)) return undefined;
  const { name } = peer.match.namespaces;
  for (const each of seen) {
    const { peer: participant } = each.example;
    if (participant.type !== "pod" || participant.pod.namespace !== name || !selects(peer.match.pods, participant.pod.labels)) continue;
    return { pod: participant.pod, address: participant.address, seen: each };
  }
  return undefined;
}

/** Returns the ports just outside those of a rule. Named ones are known by the numbers that were seen. */
function portsBeside({ rule, seen }: PlannedRule): { protocol: number; port: number }[] {
  const matches = rule.ports === "any" ? [] : rule.ports;
  const ranges = matches.flatMap((match) => rangesOf(match, seen));
  const holds = (protocol: number, port: number) => ranges.some((range) => range.protocol === protocol && rangeContains(range, port));
  const beside = ranges.flatMap(({ protocol, first, last }) => [first - 1, last + 1].map((port) => ({ protocol, port })));
  const wanted = beside.filter(({ protocol, port }) => port >= 1 && port <= 65535 && !holds(protocol, port));
  return [...new Map(wanted.map((each) => [`${each.protocol}/${each.port}`, each])).values()];
}

function rangesOf({ protocol, ports }: PortMatch, seen: readonly SeenPort[]): { protocol: number; first: number; last: number }[] {
  if (!hasPorts(protocol) || ports === undefined) return [];
  if ("first" in ports) return [{ protocol, ...ports }];
  return seen.filter((each) => each.protocol === protocol).map(({ port }) => ({ protocol, first: port, last: port }));
}

/** Returns the addresses just outside prefixes. */
function addressesBeside(prefixes: readonly Prefix[]): Address[] {
  const beside = prefixes.flatMap(({ first, last, family }) =>
    [first - 1n, last + 1n].filter((address) => address >= 0n && address <= LAST_ADDRESS && wholeAddress(address).family === family),
  );
  const sorted = prefixes.toSorted((a, b) => (a.first < b.first ? -1 : 1));
  return [...new Set(beside)].filter((address) => !isHeld(sorted, address));
}

/** Reports whether one of sorted, disjoint prefixes holds an address. */
function isHeld(sorted: readonly Prefix[], address: Address): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle].first <= address) low = middle + 1;
    else high = middle;
  }
  return low > 0 && prefixContains(sorted[low - 1], address);
}
