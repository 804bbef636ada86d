import type { Node, Pod } from "../cluster/objects.ts";
import type { BitSet } from "../evaluate/bitSet.ts";
import { UNHEARD_OF_NODE } from "../evaluate/compare.ts";
import type { Connectivity, EndSet, Link } from "../evaluate/connectivity.ts";
import type { Participant } from "../evaluate/evaluator.ts";
import { matchTruth, type Request } from "../evaluate/l7.ts";
import type { AddressEnd, NodeEnd, Role } from "../evaluate/otherEnds.ts";
import type { Family } from "../evaluate/podClasses.ts";
import type { Meaning } from "../evaluate/portVerdicts.ts";
import { type Address, isIPv4, parseAddress } from "../net/address.ts";
import { hasPorts } from "../net/protocol.ts";
import { oddRequest, requestFor } from "./madeUpRequest.ts";
import type { AskedConnection, ProbeWorld } from "./probe.ts";

/** A protocol that no policy names stands for all of them (RFC 3692: numbers for experiments). */
const EXPERIMENTAL = 253;
/** Addresses of what is neither pod nor node (RFC 5737, RFC 3849). */
const RESERVED = { 4: parseAddress("192.0.2.77")!, 6: parseAddress("2001:db8:1::77")! };

/**
 * Returns one connection of a proven difference: of the first and second set that `connectivity` compares. Undefined where they are
 * equivalent, or differ in requests alone of which none could be made up.
 */
export function differenceOf(connectivity: Connectivity, differences: readonly Link[], world: ProbeWorld): AskedConnection | undefined {
  const picker = new Picker(connectivity, world);
  let open: AskedConnection | undefined;
  for (const link of differences) {
    for (const family of link.family === 0 ? connectivity.families : [link.family]) {
      const found = picker.pick(link, family);
      if (found === undefined) continue;
      if (found.isPlain) return found.difference;
      open ??= found.difference;
    }
  }
  return open;
}

class Picker {
  readonly #connectivity: Connectivity;
  readonly #world: ProbeWorld;

  constructor(connectivity: Connectivity, world: ProbeWorld) {
    this.#connectivity = connectivity;
    this.#world = world;
  }

  /** `isPlain`: the verdicts themselves differ, whatever is requested. */
  pick(link: Link, family: Family): { readonly difference: AskedConnection; readonly isPlain: boolean } | undefined {
    const span = this.#spanOf(link, family);
    const ends = this.#endsOf(link, family);
    if (span === undefined || ends === undefined) return undefined;
    const { protocol, first, last, sourceFirst } = this.#connectivity.verdicts.space.spans[span.number];
    // Nobody listens on port 0.
    const port = Math.max(first === 0 && last > 0 ? 1 : first, 0);
    const [source, destination] = ends;
    const base = { source, destination, protocol: protocol < 0 ? EXPERIMENTAL : protocol, port, sourcePort: sourceFirst };
    return { difference: { ...base, requests: span.requests }, isPlain: span.isPlain };
  }

  /** The first span that differs: one with ports where there is any, since people know them best. */
  #spanOf({ verdicts }: Link, family: Family): SpanOfDifference | undefined {
    const { verdicts: all } = this.#connectivity;
    let portless: SpanOfDifference | undefined;
    let open: SpanOfDifference | undefined;
    for (const [number, { protocol }] of all.space.spans.entries()) {
      if (!all.space.isOf(number, family)) continue;
      const [before, after] = verdicts.map((verdict) => all.outcomeAt(verdict, number));
      if (before === after) continue;
      const [old, fresh] = [all.meaningOf(before), all.meaningOf(after)];
      const request = requestBetween(old, fresh);
      const requests = request === undefined ? [] : [request];
      if (old.verdict !== fresh.verdict) {
        const found = { number, isPlain: true, requests };
        if (hasPorts(protocol)) return found;
        portless ??= found;
      } else if (request !== undefined) open ??= { number, isPlain: false, requests };
    }
    return portless ?? open;
  }

  #endsOf({ sources, destinations }: Link, family: Family): [Participant, Participant] | undefined {
    const [from, to] = [this.#candidates(sources, family), this.#candidates(destinations, family)];
    for (const source of from)
      for (const destination of to) {
        const pair = this.#pair(source, destination, family);
        if (pair !== undefined) return pair;
      }
    return undefined;
  }

  /** Of two pods of one class another one of the workload stands for the second. */
  #pair(source: End, destination: End, family: Family): [Participant, Participant] | undefined {
    if (source.kind === "pods" && destination.kind === "pods") {
      const [from] = source.pods;
      const to = destination.pods.find((pod) => pod !== from) ?? this.#world.twin(destination.pods[0]);
      return [participantOf(from, family), participantOf(to, family)];
    }
    if (source.kind === "pods" && destination.kind !== "pods") return this.#withOther(source, destination, family);
    if (source.kind !== "pods" && destination.kind === "pods") {
      const [pod, other] = this.#withOther(destination, source, family);
      return [other, pod];
    }
    return undefined;
  }

  /** A node is a pod's own or another one: where there are a pod and a node that stand so they are taken, else it is said which is meant. */
  #withOther({ pods }: PodsEnd, other: NodesEnd | OtherEnd, family: Family): [Participant, Participant] {
    if (other.kind === "other") return [participantOf(pods[0], family), other.participant];
    const { nodes, relation } = other;
    for (const pod of pods)
      for (const { node, address } of nodes)
        if (pod.nodeName !== undefined && (pod.nodeName === node.name) === (relation === "own"))
          return [participantOf(pod, family), { type: "node", node, address }];
    const [{ node, address }] = nodes;
    return [participantOf(pods[0], family), { type: "node", node, address, relation }];
  }

  #candidates(set: EndSet, family: Family): End[] {
    switch (set.kind) {
      case "pods":
        return this.#podsOf(set.classes, family);
      case "nodes":
        return set.nodes.flatMap((end): End[] => {
          if (end.family !== 0 && end.family !== family && family !== 0) return [];
          return [{ kind: "nodes", relation: end.relation, nodes: this.#nodesOf(end, end.family === 0 ? family : end.family) }];
        });
      case "entity":
        return [{ kind: "other", participant: { type: "reserved", entity: set.entity.entity, address: RESERVED[family === 6 ? 6 : 4] } }];
      case "outside":
        return set.addresses.flatMap((end): End[] => (family !== 0 && end.family !== family ? [] : this.#outside(end, set.role)));
    }
  }

  #podsOf(classes: BitSet, family: Family): End[] {
    const found: End[] = [];
    classes.forEach((number) => {
      const pods = this.#connectivity.classes[number].members
        .flatMap(([pod]) => pod ?? [])
        .filter(({ addresses }) => addresses.length === 0 || addresses.some((address) => isIn(address, family)));
      if (pods.length > 0) found.push({ kind: "pods", pods });
    });
    return found;
  }

  /** The nodes of an end, each with an address that policies take for the same. */
  #nodesOf({ names, parties }: NodeEnd, family: Family): NodesEnd["nodes"] {
    const nodes = names.map((name) => this.#world.cluster.nodes.find((node) => node.name === name) ?? UNHEARD_OF_NODE);
    const isAlike = (address: Address) =>
      this.#connectivity.evaluators.every(
        ({ rules }, e) => parties[e] === undefined || rules.addresses.classOf(address) === parties[e].addressClass,
      );
    return nodes.map((node) => {
      const own = node.addresses.filter((address) => isIn(address, family));
      return { node, address: own.find(isAlike) ?? own[0] };
    });
  }

  /** Each role has an address of its own within the interval, since a name belongs to an address. */
  #outside({ ranges }: AddressEnd, role: Role): End[] {
    const name = role.name === undefined ? undefined : this.#connectivity.names.find(({ text }) => text === role.name)?.example;
    for (const { first, last } of ranges) {
      const address = this.#world.freeAddress(first, last, name);
      if (address !== undefined)
        return [{ kind: "other", participant: { type: "external", address, isApiServer: role.isApiServer === true } }];
    }
    return [];
  }
}

interface PodsEnd {
  readonly kind: "pods";
  readonly pods: readonly Pod[];
}

interface NodesEnd {
  readonly kind: "nodes";
  readonly relation: "own" | "other";
  readonly nodes: readonly { readonly node: Node; readonly address: Address | undefined }[];
}

interface OtherEnd {
  readonly kind: "other";
  readonly participant: Participant;
}

type End = PodsEnd | NodesEnd | OtherEnd;

interface SpanOfDifference {
  readonly number: number;
  readonly isPlain: boolean;
  readonly requests: readonly Request[];
}

/** Returns a request that one of two outcomes lets pass and the other does not; undefined where none could be made up, or none is asked for. */
function requestBetween(old: Meaning, fresh: Meaning): Request | undefined {
  const passes = ({ verdict, requests }: Meaning, request: Request) =>
    requests === undefined ? verdict === "allow" : requests.some((match) => matchTruth(match, request) === true);
  const wanted = [...(old.requests ?? []), ...(fresh.requests ?? [])].flatMap((match) => requestFor([match]) ?? []);
  return [...wanted, ...wanted.map(oddRequest)].find((request) => passes(old, request) !== passes(fresh, request));
}

function isIn(address: Address, family: Family): boolean {
  return family === 0 || isIPv4(address) === (family === 4);
}

function participantOf(pod: Pod, family: Family): Participant {
  return { type: "pod", pod, address: pod.addresses.find((address) => isIn(address, family)) };
}
