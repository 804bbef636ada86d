import type { AddressTable } from "../flow/addressTable.ts";
import type { Connections } from "../flow/connections.ts";
import { ESTABLISHED, type ObservedOutcome, OUTCOMES, UNKNOWN } from "../flow/outcome.ts";
import type { Address } from "../net/address.ts";
import { hasPorts, isIcmp } from "../net/protocol.ts";
import { combine, type Decision, type Note, type UnknownReason, type Verdict } from "./decision.ts";
import type { Endpoint, EndpointResolver } from "./endpoints.ts";
import type { Evaluator, Participant } from "./evaluator.ts";
import { peersOf } from "./honoured.ts";
import { decideByRequests, type Request } from "./l7.ts";

export type Outcome = "permitted" | "misdropped" | "would-drop" | "rejected" | "unknown";

export const VERDICTS: readonly Verdict[] = ["allow", "deny", "unknown"];
/** Up to so many connections their ends are kept, about 250 bytes each. */
const KEPT_ENDS = 1 << 17;
export const OUTCOME_NAMES: readonly Outcome[] = ["permitted", "misdropped", "would-drop", "rejected", "unknown"];

/** Where a connection goes: a participant and the port it listens on there. */
interface Target {
  readonly participant: Participant;
  readonly address: Address;
  readonly port: number;
}

/** The judged ends of one connection. */
export interface Ends {
  readonly source: Participant;
  readonly sourceAddress: Address;
  readonly sourceEndpoint: Endpoint;
  readonly destinationEndpoint: Endpoint;
  readonly destinationAddress: Address;
  /** The port at the destination: a backend's, or the Service's where the backend is not known. */
  readonly port: number;
  readonly via: { readonly address: Address; readonly port: number; readonly service?: string } | undefined;
  /** Who the destination sees, where a node masqueraded the source; several where it is not known who did, or whether. */
  readonly arrivesFrom: readonly Participant[] | undefined;
  /** One where the destination is known, else the Service's backends; none where it has none. */
  readonly targets: readonly Target[];
}

/** Both sides' decisions on one connection. */
export interface Judgement {
  readonly egress: Decision;
  readonly ingress: Decision;
  readonly verdict: Verdict;
}

/** Reports whether an evaluator lacks policies of a namespace, since nobody could read them. */
export type IsUnread = (namespace: string, evaluator: Evaluator) => boolean;

/** Observed connections judged by a policy set, and by the existing policies alone. */
export class Simulation {
  readonly connections: Connections;
  readonly evaluator: Evaluator;
  readonly baseline: Evaluator;
  /** Index in VERDICTS of each connection's verdict, and of the one under the existing policies alone. */
  readonly verdicts: Uint8Array;
  readonly baselines: Uint8Array;
  /** Index in OUTCOME_NAMES. */
  readonly outcomes: Uint8Array;
  /** How reports show the ends of each connection; equal endpoints are one object. */
  readonly sources: Endpoint[] = [];
  readonly destinations: Endpoint[] = [];
  /** The port of each connection at its destination. */
  readonly ports: Uint16Array;

  readonly #egress: Decision[] = [];
  readonly #ingress: Decision[] = [];
  /** Both participants of connections whose ends are known by their addresses alone, two entries each; of others nothing. */
  readonly #participants: (Participant | undefined)[] = [];
  /** The ends of connections, which judging, explaining and printing ask for; of very many they would fill the memory. */
  readonly #ends: Ends[] = [];
  readonly #addresses: AddressTable;
  readonly #resolver: EndpointResolver;
  readonly #requestsOf: (i: number) => readonly Request[];
  readonly #isUnread: IsUnread;

  constructor(
    connections: Connections,
    addresses: AddressTable,
    resolver: EndpointResolver,
    evaluator: Evaluator,
    baseline: Evaluator,
    requestsOf: (i: number) => readonly Request[] = () => [],
    progress?: (done: number) => void,
    isUnread: IsUnread = () => false,
  ) {
    this.#isUnread = isUnread;
    this.connections = connections;
    this.#requestsOf = requestsOf;
    this.#addresses = addresses;
    this.#resolver = resolver;
    this.evaluator = evaluator;
    this.baseline = baseline;
    this.verdicts = new Uint8Array(connections.size);
    this.baselines = new Uint8Array(connections.size);
    this.outcomes = new Uint8Array(connections.size);
    this.ports = new Uint16Array(connections.size);
    const isBaselineOpen = baseline !== evaluator && baseline.policies.length === 0 && baseline.profile.enforcement !== "always";
    for (let i = 0; i < connections.size; i++) {
      const ends = this.ends(i);
      if (connections.size <= KEPT_ENDS) this.#ends.push(ends);
      const isPlain = ends.via === undefined && ends.arrivesFrom === undefined && ends.targets.length === 1;
      this.#participants.push(isPlain ? ends.source : undefined, isPlain ? ends.targets[0].participant : undefined);
      const { egress, ingress, verdict } = this.judge(i, evaluator, ends);
      this.sources.push(ends.sourceEndpoint);
      this.destinations.push(ends.destinationEndpoint);
      this.ports[i] = ends.port;
      this.#egress.push(egress);
      this.#ingress.push(ingress);
      // Without policies nothing is denied.
      const before = baseline === evaluator ? verdict : isBaselineOpen ? "allow" : this.judge(i, baseline, ends).verdict;
      this.verdicts[i] = VERDICTS.indexOf(verdict);
      this.baselines[i] = VERDICTS.indexOf(before);
      this.outcomes[i] = OUTCOME_NAMES.indexOf(outcomeOf(verdict, OUTCOMES[this.observed(i)], this.#maySucceed(i)));
      if ((i & 0xfff) === 0) progress?.(i);
    }
  }

  /** Returns what both sides say of connection `i`. */
  judgement(i: number): Judgement {
    return { egress: this.#egress[i], ingress: this.#ingress[i], verdict: VERDICTS[this.verdicts[i]] };
  }

  /** Index in OUTCOMES of what was observed: the first kind of ending that happened. */
  observed(i: number): number {
    const counts = this.connections.attempts[i];
    for (let outcome = 0; outcome < counts.length; outcome++) if (counts[outcome] > 0) return outcome;
    return OUTCOMES.length - 1;
  }

  /** Reports whether any of the counted connections was established, or may have been. */
  #maySucceed(i: number): boolean {
    const counts = this.connections.attempts[i];
    return counts[ESTABLISHED] + counts[UNKNOWN] > 0;
  }

  /** Resolves the ends of connection `i` at its own time. */
  ends(i: number): Ends {
    if (i < this.#ends.length) return this.#ends[i];
    const known = this.#participants[2 * i];
    if (known !== undefined) return this.#plainEnds(i, known, this.#participants[2 * i + 1]!);
    const { connections } = this;
    const resolver = this.#resolver;
    const seconds = connections.firstSeconds[i] + connections.firstNanoseconds[i] * 1e-9;
    const sourceAddress = this.#addresses.addressOf(connections.source(i));
    const source = resolver.participantAt(connections.source(i), seconds);
    const sourceEndpoint = resolver.endpointOf(source, sourceAddress, seconds);
    const address = this.#addresses.addressOf(connections.destination(i));
    const port = connections.port(i);
    const viaId = connections.via(i);
    // By address: a log may say more of one of the two.
    const isJoined = viaId >= 0 && !(this.#addresses.addressOf(viaId) === address && connections.viaPort(i) === port);
    if (viaId >= 0 && !isJoined) {
      const dialled = this.#dialledEnds(i, source, sourceAddress, sourceEndpoint, address, port);
      if (dialled !== undefined) return dialled;
    }
    const participant = resolver.participantAt(connections.destination(i), seconds, source);
    const hidden = isJoined ? connections.arrivesFrom[i] : -1;
    return {
      source,
      sourceAddress,
      sourceEndpoint,
      destinationEndpoint: resolver.endpointOf(participant, address, seconds),
      destinationAddress: address,
      port,
      via: isJoined ? this.#translation(i) : undefined,
      arrivesFrom: hidden < 0 ? undefined : [resolver.participantAt(hidden, seconds)],
      targets: [{ participant, address, port }],
    };
  }

  /** Returns the ends of a connection that was judged before: whose the addresses are is not asked again. */
  #plainEnds(i: number, source: Participant, participant: Participant): Ends {
    const { connections } = this;
    const address = this.#addresses.addressOf(connections.destination(i));
    const port = this.ports[i];
    return {
      source,
      sourceAddress: this.#addresses.addressOf(connections.source(i)),
      sourceEndpoint: this.sources[i],
      destinationEndpoint: this.destinations[i],
      destinationAddress: address,
      port,
      via: undefined,
      arrivesFrom: undefined,
      targets: [{ participant, address, port }],
    };
  }

  /** Returns the ends of a connection whose view after translation was not seen: the dialled Service's backends stand for it. */
  #dialledEnds(
    i: number,
    source: Participant,
    sourceAddress: Address,
    sourceEndpoint: Endpoint,
    address: Address,
    port: number,
  ): Ends | undefined {
    const resolver = this.#resolver;
    const dialled = resolver.dialled(address, this.connections.protocol(i), port);
    if (dialled === undefined) return undefined;
    const { service, backends } = dialled;
    // Backends are told as they are at last, so their addresses are resolved as of then: before, they were perhaps nobody's yet.
    const targets = backends.map((backend) => ({
      participant: resolver.participantOf(backend.address, Number.NaN, source),
      address: backend.address,
      port: backend.port,
    }));
    const only = targets.length === 1 ? targets[0] : undefined;
    // externalTrafficPolicy Cluster: a backend may see the client or the node that took it in (Kubernetes: Service, "Traffic policies").
    const isHidden =
      source.type === "external" && (service.type === "NodePort" || service.type === "LoadBalancer") && service.keepsClient !== true;
    return {
      source,
      sourceAddress,
      sourceEndpoint,
      destinationEndpoint:
        only === undefined ? resolver.serviceEndpoint(service, address) : resolver.endpointOf(only.participant, only.address, Number.NaN),
      destinationAddress: only?.address ?? address,
      port: only?.port ?? port,
      via: { address, port, service: `${service.namespace}/${service.name}` },
      arrivesFrom: isHidden ? [source, ...resolver.masqueradingNodes(address)] : undefined,
      targets,
    };
  }

  /** What the joined views of connection `i` show of its translation: what was dialled. */
  #translation(i: number): NonNullable<Ends["via"]> {
    const { connections } = this;
    const address = this.#addresses.addressOf(connections.via(i));
    const port = connections.viaPort(i);
    const service = this.#resolver.dialled(address, connections.protocol(i), port)?.service;
    return service === undefined ? { address, port } : { address, port, service: `${service.namespace}/${service.name}` };
  }

  /** Returns how reports show a candidate destination: as it is at last, as its Service tells it. */
  endpointOf(participant: Participant, address: Address): Endpoint {
    return this.#resolver.endpointOf(participant, address, Number.NaN);
  }

  /** Judges connection `i` with an evaluator. Replies are never judged: what may be one is denied by no policy for certain. */
  judge(i: number, evaluator: Evaluator, ends: Ends = this.ends(i)): Judgement {
    const judgement = this.#besideUnread(this.#judgeEnds(i, evaluator, ends), ends, evaluator);
    if (!this.connections.isDoubtful(i)) return judgement;
    const turned = this.#judgeTurned(i, evaluator, ends);
    if (turned === judgement.verdict) return judgement;
    if (turned !== undefined)
      return { egress: unsureInitiator(judgement.egress), ingress: unsureInitiator(judgement.ingress), verdict: "unknown" };
    if (judgement.verdict !== "deny") return judgement;
    return { egress: inDoubt(judgement.egress), ingress: inDoubt(judgement.ingress), verdict: "unknown" };
  }

  /** Returns the verdict had the destination begun; undefined where the port that it would have dialled is not known. */
  #judgeTurned(i: number, evaluator: Evaluator, { source, targets, via }: Ends): Verdict | undefined {
    const { connections } = this;
    const protocol = connections.protocol(i);
    // ICMP and protocols without ports would have been the same the other way round.
    const port = hasPorts(protocol) ? connections.sourcePort[i] : targets[0]?.port;
    if (via !== undefined || targets.length !== 1 || !(port >= 0)) return undefined;
    if (isIcmp(protocol) && !connections.hasIcmpType(i)) {
      const types = evaluator.ports.samples.filter((sample) => sample.protocol === protocol);
      const verdicts = types.map((sample) => this.#verdictOfTurned(evaluator, source, targets[0].participant, protocol, sample.port));
      return verdicts.every((verdict) => verdict === verdicts[0]) ? verdicts[0] : "unknown";
    }
    return this.#verdictOfTurned(evaluator, source, targets[0].participant, protocol, port);
  }

  #verdictOfTurned(evaluator: Evaluator, source: Participant, target: Participant, protocol: number, port: number): Verdict {
    const [from, to] = [evaluator.classify(target), evaluator.classify(source)];
    const portClass = evaluator.ports.classOf(protocol, port);
    const decisions = [evaluator.decideEgress(from, to, portClass), evaluator.decideIngress(from, to, portClass)];
    const [egress, ingress] = decisions.map((id) => evaluator.decisions[id].verdict);
    return combine(egress, ingress);
  }

  /** Leaves open what is allowed of pods whose policies nobody could read. */
  #besideUnread(judgement: Judgement, { source, targets }: Ends, evaluator: Evaluator): Judgement {
    const isOpen = (participant: Participant) => participant.type === "pod" && this.#isUnread(participant.pod.namespace, evaluator);
    const egress = judgement.egress.verdict === "allow" && isOpen(source) ? unread(judgement.egress) : judgement.egress;
    const isIngressOpen = judgement.ingress.verdict === "allow" && targets.some(({ participant }) => isOpen(participant));
    const ingress = isIngressOpen ? unread(judgement.ingress) : judgement.ingress;
    if (egress === judgement.egress && ingress === judgement.ingress) return judgement;
    return { egress, ingress, verdict: combine(judgement.verdict, combine(egress.verdict, ingress.verdict)) };
  }

  #judgeEnds(i: number, evaluator: Evaluator, ends: Ends): Judgement {
    const { targets } = ends;
    const protocol = this.connections.protocol(i);
    // A log that does not tell ICMP's type: what all types agree on holds.
    if (isIcmp(protocol) && !this.connections.hasIcmpType(i) && targets.length === 1) {
      const types = evaluator.ports.samples.filter((sample) => sample.protocol === protocol);
      return nameUnknown(
        agree(types.map(({ port }) => this.#judgeTarget(i, evaluator, ends, targets[0].participant, port))),
        "unknown-port-name",
      );
    }
    if (targets.length === 1) return this.#judgeTarget(i, evaluator, ends, targets[0].participant, targets[0].port);
    // A Service without backends leads nowhere that is known, on a port that nobody knows.
    if (targets.length === 0) {
      const ports = evaluator.ports.samples
        .filter((sample) => sample.protocol === protocol)
        .map(({ port }) => this.#judgeTarget(i, evaluator, ends, { type: "unknown" }, port));
      return nameUnknown(agree(ports));
    }
    return agree(targets.map(({ participant, port }) => this.#judgeTarget(i, evaluator, ends, participant, port)));
  }

  /** Judges connection `i` as going to one participant and port. */
  #judgeTarget(i: number, evaluator: Evaluator, ends: Ends, participant: Participant, port: number): Judgement {
    const { connections } = this;
    const protocol = connections.protocol(i);
    const source = evaluator.classify(ends.source);
    const destination = evaluator.classify(participant);
    const portClass = evaluator.ports.withSource(evaluator.ports.classOf(protocol, port), protocol, connections.sourcePort[i]);
    const throughService = ends.via !== undefined;
    const onBackend = evaluator.decisions[evaluator.decideEgress(source, destination, portClass, throughService)];
    const egress = throughService && evaluator.profile.blocksMatchDialled ? beforeTranslation(onBackend, participant) : onBackend;
    // Masquerade hides the client: the destination's policies see the node that translated.
    const ingress =
      ends.arrivesFrom === undefined
        ? evaluator.decisions[evaluator.decideIngress(source, destination, portClass, throughService)]
        : judgeArrivals(evaluator, ends.arrivesFrom, destination, portClass);
    if (egress.l7 === undefined && ingress.l7 === undefined) return { egress, ingress, verdict: combine(egress.verdict, ingress.verdict) };
    const requests = this.#requestsOf(i);
    const [out, into] = [decideByRequests(egress, requests), decideByRequests(ingress, requests)];
    return { egress: out, ingress: into, verdict: combine(out.verdict, into.verdict) };
  }
}

/** Returns the same decision left open for each that it is given; equal decisions stay one object, as comparisons of them expect. */
function leftOpen(reason: UnknownReason, note: Note): (decision: Decision) => Decision {
  const known = new WeakMap<Decision, Decision>();
  return (decision) => {
    let open = known.get(decision);
    if (open === undefined) {
      open = { ...decision, verdict: "unknown", reason, notes: [...decision.notes, note] };
      known.set(decision, open);
    }
    return open;
  };
}

const unread = leftOpen("policy-error", "policies-unread");
const perhapsReply = leftOpen("unknown-endpoint", "perhaps-a-reply");
const unsureInitiator = leftOpen("unknown-endpoint", "initiator-unsure");
const openBeforeTranslation = leftOpen("unknown-endpoint", "judged-before-translation");

function inDoubt(decision: Decision): Decision {
  return decision.verdict === "deny" ? perhapsReply(decision) : decision;
}

/**
 * What a plugin says of a dialled Service that judges before translation: by labels as of the backend, by addresses of another one.
 * Only what rules on addresses could change is open.
 */
function beforeTranslation(decision: Decision, backend: Participant): Decision {
  const hasBlocks = decision.isolatedBy.some((policy) => peersOf(policy).some(({ kind }) => kind === "prefix"));
  // A backend that is no pod (an API server, a host outside) is let in by its address, or by a rule for whatever comes.
  const isByAddress = decision.notes.includes("ipblock-covers-pod") || (backend.type !== "pod" && decision.reason === "rule" && hasBlocks);
  const hangsOnAddress = decision.verdict === "allow" ? isByAddress : decision.reason === "isolated" && hasBlocks;
  return hangsOnAddress ? openBeforeTranslation(decision) : decision;
}

function judgeArrivals(evaluator: Evaluator, arriving: readonly Participant[], destination: number, portClass: number): Decision {
  const sides = arriving.map((from) => evaluator.decisions[evaluator.decideIngress(evaluator.classify(from), destination, portClass)]);
  return sides.length === 1 ? sides[0] : nameUnknownEnd(agreeSide(sides));
}

/** Neither the backend nor its port is known: what all ports agree on holds, the rest hangs on an end that nobody knows. */
function nameUnknown({ egress, ingress, verdict }: Judgement, reason: UnknownReason = "unknown-endpoint"): Judgement {
  return { egress: nameUnknownEnd(egress, reason), ingress: nameUnknownEnd(ingress, reason), verdict };
}

function nameUnknownEnd(decision: Decision, reason: UnknownReason = "unknown-endpoint"): Decision {
  return decision.reason === "several-backends" ? { ...decision, reason } : decision;
}

/** Joins the judgements of a Service's candidate backends: what all say, else unknown (semantics 3). */
function agree(judgements: readonly Judgement[]): Judgement {
  const verdict = common(judgements.map((judgement) => judgement.verdict));
  return {
    egress: agreeSide(judgements.map(({ egress }) => egress)),
    ingress: agreeSide(judgements.map(({ ingress }) => ingress)),
    verdict,
  };
}

function agreeSide(decisions: readonly Decision[]): Decision {
  const [first] = decisions;
  if (decisions.every((decision) => decision === first)) return first;
  const verdict = common(decisions.map((decision) => decision.verdict));
  const isOneReason = decisions.every((decision) => decision.reason === first.reason);
  const reason = verdict === "unknown" && !isOneReason ? ("several-backends" satisfies UnknownReason) : first.reason;
  return {
    verdict,
    reason,
    notes: [...new Set(decisions.flatMap((decision) => decision.notes))],
    isolatedBy: [...new Set(decisions.flatMap((decision) => decision.isolatedBy))],
    matched: distinct(decisions.flatMap((decision) => decision.matched)),
  };
}

function distinct<T extends { policy: unknown; rule: unknown }>(matches: readonly T[]): T[] {
  return matches.filter((match, i) => matches.findIndex((other) => other.policy === match.policy && other.rule === match.rule) === i);
}

function common(verdicts: readonly Verdict[]): Verdict {
  return verdicts.every((verdict) => verdict === verdicts[0]) ? verdicts[0] : "unknown";
}

/**
 * What a verdict means for what was observed (contract: Connection.outcome). A denied connection of which even one try may have
 * worked would be dropped, though others failed: one refused datagram must not hide a thousand that arrived.
 */
function outcomeOf(verdict: Verdict, observed: ObservedOutcome, maySucceed: boolean): Outcome {
  if (verdict === "allow") return observed === "established" ? "permitted" : observed === "dropped" ? "misdropped" : "unknown";
  if (verdict === "deny") return maySucceed ? "would-drop" : "rejected";
  return "unknown";
}
