import type { Entity } from "../policy/model.ts";
import { BitSet } from "./bitSet.ts";
import { alwaysPasses } from "./cell.ts";
import { type Connectivity, type EndSet, endOf, type Link } from "./connectivity.ts";
import type { AddressEnd, NodeEnd, Role } from "./otherEnds.ts";
import type { PortCut } from "./portClasses.ts";
import { ALLOW, DENY } from "./portVerdicts.ts";

/** Ends that an expectation is about. Each class of the connectivity lies wholly in it, or wholly beside it. */
export interface ChosenEnds {
  readonly classes: BitSet;
  /** Names of nodes. True: the node was named, and is meant also where it is a pod's own. */
  readonly nodes: ReadonlyMap<string, boolean>;
  readonly entities: ReadonlySet<Entity>;
  readonly holdsOutside: (address: AddressEnd, role: Role) => boolean;
}

/** What is expected of all traffic from any of the sources to any of the destinations. */
export interface Expectation {
  readonly sources: ChosenEnds;
  readonly destinations: ChosenEnds;
  /** The ports meant at a class of pods, or at any other end; "any": all traffic but what the plugin passes or drops whatever policies say; none: it has no such port. */
  readonly portsAt: (number: number | undefined) => readonly PortCut[] | "any";
  readonly verdict: "allow" | "deny";
}

/** What contradicts an expectation: links whose verdicts hold what was expected wherever it holds, or was not asked about. */
export interface Checked {
  readonly violations: readonly Link[];
  /** Whether it is about any connection at all. */
  readonly isAboutAny: boolean;
}

/** Holds all connectivity of a policy set, as `Connectivity.everything` says it, against an expectation. Exact: every pair, every port. */
export function checkExpectation(connectivity: Connectivity, links: readonly Link[], expectation: Expectation): Checked {
  const { sources, destinations, verdict } = expectation;
  const expected = verdict === "allow" ? ALLOW : DENY;
  const verdicts = new ChosenPorts(connectivity, expected);
  const violations: Link[] = [];
  let isAboutAny = false;
  const add = (link: Link, ports: readonly PortCut[] | "any") => {
    const { number, isAny, isBroken } = verdicts.restrict(link, ports);
    isAboutAny ||= isAny;
    if (isBroken) violations.push({ ...link, verdicts: [number] });
  };
  for (const link of links) {
    const [from, to] = [link.sources, link.destinations];
    if (from.kind === "pods" && to.kind === "pods") {
      const chosen = from.classes.copy().retainAll(sources.classes);
      if (chosen.isEmpty) continue;
      for (const { classes, ports } of byPorts(to.classes.copy().retainAll(destinations.classes), expectation))
        add({ ...link, sources: { kind: "pods", classes: chosen }, destinations: { kind: "pods", classes } }, ports);
    } else if (from.kind === "pods") {
      const ports = expectation.portsAt(undefined);
      for (const { peer, classes } of chosenPeers(connectivity, to, from.classes.copy().retainAll(sources.classes), destinations, "egress"))
        add({ ...link, sources: { kind: "pods", classes }, destinations: peer }, ports);
    } else if (to.kind === "pods") {
      for (const { peer, classes } of chosenPeers(
        connectivity,
        from,
        to.classes.copy().retainAll(destinations.classes),
        sources,
        "ingress",
      ))
        for (const { classes: own, ports } of byPorts(classes, expectation))
          add({ ...link, sources: peer, destinations: { kind: "pods", classes: own } }, ports);
    }
  }
  return { violations, isAboutAny };
}

/** Parts destinations by the ports that are meant there. */
function byPorts(classes: BitSet, { portsAt }: Expectation): { classes: BitSet; ports: readonly PortCut[] | "any" }[] {
  const groups = new Map<string, { classes: BitSet; ports: readonly PortCut[] | "any" }>();
  classes.forEach((number) => {
    const ports = portsAt(number);
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { classes: new BitSet(classes.size), ports };
    groups.set(key, group);
    group.classes.add(number);
  });
  return [...groups.values()];
}

/** Returns the part of a peer that is meant, with the classes of pods that it is meant for. `direction`: the pods'. */
function chosenPeers(
  connectivity: Connectivity,
  peer: EndSet,
  classes: BitSet,
  chosen: ChosenEnds,
  direction: "egress" | "ingress",
): { peer: EndSet; classes: BitSet }[] {
  if (classes.isEmpty) return [];
  switch (peer.kind) {
    case "pods":
      return [];
    case "entity":
      return chosen.entities.has(peer.entity.entity) ? [{ peer, classes }] : [];
    case "outside":
      return chosenOutside(connectivity, peer, chosen).map((each) => ({ peer: each, classes }));
    case "nodes": {
      const groups = new Map<string, { peer: EndSet; classes: BitSet }>();
      classes.forEach((number) => {
        const nodes = peer.nodes.filter((node) => isMeant(connectivity, node, number, chosen, direction));
        if (nodes.length === 0) return;
        const key = nodes.map((node) => connectivity.nodes.indexOf(node)).join();
        const group = groups.get(key) ?? { peer: { kind: "nodes", nodes }, classes: new BitSet(classes.size) };
        groups.set(key, group);
        group.classes.add(number);
      });
      return [...groups.values()];
    }
  }
}

/**
 * Reports whether a node is meant as an end of a class of pods. What the pod's own node asks of it passes whatever policies say
 * (Kubernetes: Network Policies, "traffic to and from the node where a Pod is running is always allowed"): only who names the node means
 * that.
 */
function isMeant(connectivity: Connectivity, { names, relation }: NodeEnd, number: number, chosen: ChosenEnds, direction: string): boolean {
  const isNamed = chosen.nodes.get(names[0]);
  if (isNamed === undefined) return false;
  const isOwn = relation === "own";
  // Pods on a node that is named are told apart from those that are not.
  if (isNamed) return isOwn === (connectivity.classes[number].members[0][0]?.nodeName === names[0]);
  return !isOwn || (direction === "egress" && connectivity.evaluators[0].profile.podToOwnNode === "judge");
}

function chosenOutside({ roles }: Connectivity, peer: Extract<EndSet, { kind: "outside" }>, { holdsOutside }: ChosenEnds): EndSet[] {
  const [plain] = roles;
  const own = peer.addresses.filter((address) => holdsOutside(address, peer.role));
  const sets: EndSet[] = own.length > 0 ? [{ ...peer, addresses: own }] : [];
  if (peer.role !== plain) return sets;
  // Roles that make no difference here have no link of their own; an API server with a name is then like one without, or like any bearer.
  for (const role of roles.slice(1)) {
    if (peer.except.includes(role) || (role.name !== undefined && role.isApiServer)) continue;
    const addresses = peer.addresses.filter((address) => holdsOutside(address, role) && !holdsOutside(address, plain));
    if (addresses.length > 0) sets.push({ ...peer, role, addresses, except: [] });
  }
  return sets;
}

/** Restricts verdicts to the ports that are meant. */
class ChosenPorts {
  readonly #connectivity: Connectivity;
  readonly #expected: number;
  readonly #known = new Map<string, { number: number; isAny: boolean; isBroken: boolean }>();

  constructor(connectivity: Connectivity, expected: number) {
    this.#connectivity = connectivity;
    this.#expected = expected;
  }

  /** Returns a link's verdict with what is expected on all other ports; whether any port is meant, and on any of them it is another. */
  restrict({ verdicts: [number], family }: Link, ports: readonly PortCut[] | "any") {
    const key = `${number} ${family} ${JSON.stringify(ports)}`;
    let restricted = this.#known.get(key);
    if (restricted === undefined) this.#known.set(key, (restricted = this.#restrict(number, family, ports)));
    return restricted;
  }

  #restrict(number: number, family: Link["family"], ports: readonly PortCut[] | "any") {
    const { verdicts, evaluators } = this.#connectivity;
    const { space } = verdicts;
    const isDropped = (span: number) =>
      (["egress", "ingress"] as const).some((direction) => evaluators[0].isDropped(direction, space.classOf(0, span)));
    const changes: number[] = [];
    let isAny = false;
    let isBroken = false;
    space.spans.forEach((span, i) => {
      const { protocol, first, last } = span;
      const isMeant =
        ports === "any"
          ? !alwaysPasses(evaluators[0].rules, { protocol, port: first }) && !isDropped(i)
          : ports.some((cut) => cut.protocol === protocol && first >= cut.first && last <= cut.last);
      if (!isMeant || !space.isOf(i, family)) changes.push(i, this.#expected);
      else {
        isAny = true;
        isBroken ||= verdicts.outcomeAt(number, i) !== this.#expected;
      }
    });
    return { number: verdicts.patch(number, changes), isAny, isBroken };
  }
}

/** Returns the families in which a pair of ends can have a connection, of those of a link. */
export function familiesOf(connectivity: Connectivity, { sources, destinations, family }: Link): Link["family"][] {
  const has = (set: EndSet, one: Link["family"]): boolean => {
    switch (set.kind) {
      case "pods": {
        let all = true;
        set.classes.forEach((number) => {
          if (endOf(connectivity.classes[number], 0, one) === undefined) all = false;
        });
        return all;
      }
      case "nodes":
        return set.nodes.some((node) => node.family === one || node.family === 0 || one === 0);
      case "entity":
        return true;
      case "outside":
        return set.addresses.some((address) => address.family === one || one === 0);
    }
  };
  return (family === 0 ? connectivity.families : [family]).filter((one) => has(sources, one) && has(destinations, one));
}
