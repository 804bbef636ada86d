import type { Pod } from "../cluster/objects.ts";
import type { BitSet } from "../evaluate/bitSet.ts";
import type { Connectivity, EndSet, Link } from "../evaluate/connectivity.ts";
import type { Participant } from "../evaluate/evaluator.ts";
import { matchTruth, type Request } from "../evaluate/l7.ts";
import type { AddressEnd, OutsideName, Role } from "../evaluate/otherEnds.ts";
import type { Family } from "../evaluate/podClasses.ts";
import { type Address, isIPv4, parseAddress } from "../net/address.ts";
import { hasPorts } from "../net/protocol.ts";
import type { L7Match } from "../policy/model.ts";
import { requestFor } from "./madeUpRequest.ts";
import type { AskedConnection, ProbeWorld } from "./probe.ts";

/** A protocol that no policy names stands for all of them (RFC 3692: numbers for experiments). */
const EXPERIMENTAL = 253;
/** Addresses of what is neither pod nor node (RFC 5737, RFC 3849). */
const RESERVED = { 4: parseAddress("192.0.2.77")!, 6: parseAddress("2001:db8:1::77")! };

/**
 * Returns one connection of a proven difference: of the first and second set that `connectivity` compares. Undefined where they are
 * equivalent, or differ in requests alone of which none could be made up. `names`: what outside addresses are told apart by.
 */
export function differenceOf(
  connectivity: Connectivity,
  differences: readonly Link[],
  names: readonly OutsideName[],
  world: ProbeWorld,
): AskedConnection | undefined {
  const picker = new Picker(connectivity, names, world);
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
  readonly #names: readonly OutsideName[];
  readonly #world: ProbeWorld;

  constructor(connectivity: Connectivity, names: readonly OutsideName[], world: ProbeWorld) {
    this.#connectivity = connectivity;
    this.#names = names;
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
      if (old.verdict !== fresh.verdict) {
        const found = { number, isPlain: true, requests: [] };
        if (hasPorts(protocol)) return found;
        portless ??= found;
      } else {
        const request = requestBetween(old.requests ?? [], fresh.requests ?? []);
        if (request !== undefined) open ??= { number, isPlain: false, requests: [request] };
      }
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

  /** A node is a pod's own or another one: the pod says which is meant. */
  #pair(source: End, destination: End, family: Family): [Participant, Participant] | undefined {
    const [a, b] = [source, destination];
    if (a.kind === "pod" && b.kind === "pod")
      return a.pod === b.pod
        ? [participantOf(a.pod, family), participantOf(this.#world.twin(b.pod), family)]
        : [participantOf(a.pod, family), participantOf(b.pod, family)];
    if (a.kind === "pod") return [participantOf(a.pod, family), this.#other(b)];
    return b.kind === "pod" ? [this.#other(a), participantOf(b.pod, family)] : undefined;
  }

  #other(end: End): Participant {
    if (end.kind === "pod") return participantOf(end.pod, 0);
    return end.participant;
  }

  #candidates(set: EndSet, family: Family): End[] {
    switch (set.kind) {
      case "pods":
        return this.#podsOf(set.classes, family);
      case "nodes":
        return set.nodes.flatMap(({ names, relation, family: own }): End[] => {
          if (own !== 0 && own !== family && family !== 0) return [];
          const node = this.#world.cluster.nodes.find(({ name }) => name === names[0]) ?? {
            name: "",
            labels: {},
            addresses: [],
            podPrefixes: [],
          };
          const address = node.addresses.find((each) => isIn(each, own === 0 ? family : own));
          return [{ kind: "other", participant: { type: "node", node, address, relation } }];
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
      const member = this.#connectivity.classes[number].members.map(([pod]) => pod).find((pod) => pod !== undefined);
      if (
        member !== undefined &&
        (member.addresses.length === 0 || family === 0 || member.addresses.some((address) => isIn(address, family)))
      )
        found.push({ kind: "pod", pod: member });
    });
    return found;
  }

  /** Each role has an address of its own within the interval, since a name belongs to an address. */
  #outside({ ranges }: AddressEnd, role: Role): End[] {
    const name = role.name === undefined ? undefined : this.#names.find(({ text }) => text === role.name)?.example;
    for (const { first, last } of ranges) {
      const address = this.#world.freeAddress(first, last, name);
      if (address !== undefined)
        return [{ kind: "other", participant: { type: "external", address, isApiServer: role.isApiServer === true } }];
    }
    return [];
  }
}

type End = { readonly kind: "pod"; readonly pod: Pod } | { readonly kind: "other"; readonly participant: Participant };

interface SpanOfDifference {
  readonly number: number;
  readonly isPlain: boolean;
  readonly requests: readonly Request[];
}

/** Returns a request that one of two lists of alternatives lets pass and the other does not; undefined where none could be made up. */
function requestBetween(old: readonly L7Match[], fresh: readonly L7Match[]): Request | undefined {
  const holds = (matches: readonly L7Match[], request: Request) => matches.some((match) => matchTruth(match, request) === true);
  return [...old, ...fresh]
    .map((match) => requestFor([match]))
    .find((request) => request !== undefined && holds(old, request) !== holds(fresh, request));
}

function isIn(address: Address, family: Family): boolean {
  return family === 0 || isIPv4(address) === (family === 4);
}

function participantOf(pod: Pod, family: Family): Participant {
  return { type: "pod", pod, address: pod.addresses.find((address) => isIn(address, family)) };
}
