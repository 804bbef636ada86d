import type { AddressTable } from "../flow/addressTable.ts";
import type { Connections } from "../flow/connections.ts";
import { type ObservedOutcome, OUTCOMES } from "../flow/outcome.ts";
import type { Address } from "../net/address.ts";
import { hasPorts, isIcmp } from "../net/protocol.ts";
import { combine, type Decision, type Verdict } from "./decision.ts";
import type { End, Endpoint, EndpointResolver } from "./endpoints.ts";
import { dialledEnds, type Ends } from "./ends.ts";
import type { Evaluator, Participant } from "./evaluator.ts";
import { besideUnread, type IsUnread, type Judgement, judgeEnds, judgeTarget, leftOpen, type Packet } from "./judge.ts";
import type { Request } from "./l7.ts";

export type Outcome = "permitted" | "misdropped" | "would-drop" | "rejected" | "unknown";

export const VERDICTS: readonly Verdict[] = ["allow", "deny", "unknown"];
/** Of so many connections the ends are kept that are not plain, about 250 bytes each. */
const KEPT_ENDS = 1 << 17;
export const OUTCOME_NAMES: readonly Outcome[] = ["permitted", "misdropped", "would-drop", "rejected", "unknown"];

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
  /** How reports show the ends of connections: equal endpoints are one object. Some may be no connection's of these. */
  readonly endpoints: readonly Endpoint[];
  /** Index in `endpoints` of each connection's ends. */
  readonly sourceNumbers: Int32Array;
  readonly destinationNumbers: Int32Array;
  /** The port of each connection at its destination. */
  readonly ports: Uint16Array;

  readonly #egress: Decision[] = [];
  readonly #ingress: Decision[] = [];
  /** Both participants of connections whose ends are known by their addresses alone, two entries each; of others nothing. */
  readonly #participants: (Participant | undefined)[] = [];
  /** The ends of others, which judging, explaining and printing ask for; of very many they would fill the memory. */
  readonly #ends = new Map<number, Ends>();
  /** The evaluator's number of ends, by their own. */
  readonly #classes: number[] = [];
  readonly #addresses: AddressTable;
  readonly #resolver: EndpointResolver;
  readonly #requestsOf: (i: number) => readonly Request[];
  /** What is asked of the connection at hand: one object for all of them. */
  readonly #packet = { i: 0, protocol: 0, sourcePort: -1, hasIcmpType: true, requests: () => this.#requestsOf(this.#packet.i) };
  readonly #isUnread: IsUnread | undefined;

  constructor(
    connections: Connections,
    addresses: AddressTable,
    resolver: EndpointResolver,
    evaluator: Evaluator,
    baseline: Evaluator,
    requestsOf: (i: number) => readonly Request[] = () => [],
    progress?: (done: number) => void,
    isUnread?: IsUnread,
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
    this.endpoints = resolver.endpoints;
    this.sourceNumbers = new Int32Array(connections.size);
    this.destinationNumbers = new Int32Array(connections.size);
    const isBaselineOpen = baseline !== evaluator && baseline.policies.length === 0 && baseline.profile.enforcement !== "always";
    for (let i = 0; i < connections.size; i++) {
      const seconds = this.#startOf(i);
      const source = resolver.endAt(connections.source(i), seconds);
      const destination = resolver.endAt(connections.destination(i), seconds, source.participant);
      this.sourceNumbers[i] = source.number;
      let judgement = this.#judgePlain(i, source, destination);
      let ends: Ends | undefined;
      if (judgement === undefined) {
        ends = this.#resolve(i, source, destination);
        judgement = this.judge(i, evaluator, ends);
      }
      if (ends === undefined || isPlain(ends)) {
        this.#participants.push(source.participant, destination.participant);
        this.destinationNumbers[i] = destination.number;
        this.ports[i] = connections.port(i);
      } else {
        this.#participants.push(undefined, undefined);
        if (this.#ends.size < KEPT_ENDS) this.#ends.set(i, ends);
        this.destinationNumbers[i] = resolver.numberOf(ends.destinationEndpoint);
        this.ports[i] = ends.port;
      }
      const { egress, ingress, verdict } = judgement;
      this.#egress.push(egress);
      this.#ingress.push(ingress);
      // Without policies nothing is denied.
      const before =
        baseline === evaluator
          ? verdict
          : isBaselineOpen
            ? "allow"
            : this.judge(i, baseline, ends ?? this.#plainEnds(i, source.participant, destination.participant)).verdict;
      this.verdicts[i] = VERDICTS.indexOf(verdict);
      this.baselines[i] = VERDICTS.indexOf(before);
      this.outcomes[i] = OUTCOME_NAMES.indexOf(outcomeOf(verdict, OUTCOMES[this.observed(i)], this.connections.mayHaveWorked(i) > 0));
      if ((i & 0xfff) === 0) progress?.(i);
    }
  }

  /** Returns how reports show who began connection `i`. */
  source(i: number): Endpoint {
    return this.endpoints[this.sourceNumbers[i]];
  }

  /** Returns how reports show where connection `i` went. */
  destination(i: number): Endpoint {
    return this.endpoints[this.destinationNumbers[i]];
  }

  /** Returns the numbers of the endpoints that connections have, ascending. */
  usedEndpoints(): Int32Array {
    const isUsed = new Uint8Array(this.endpoints.length);
    for (const numbers of [this.sourceNumbers, this.destinationNumbers]) for (const number of numbers) isUsed[number] = 1;
    return Int32Array.from(isUsed.keys()).filter((number) => isUsed[number] === 1);
  }

  /** Returns what both sides say of connection `i`. */
  judgement(i: number): Judgement {
    return { egress: this.#egress[i], ingress: this.#ingress[i], verdict: VERDICTS[this.verdicts[i]] };
  }

  /** Index in OUTCOMES of what was observed: the first kind of ending that happened. */
  observed(i: number): number {
    for (let outcome = 0; outcome < OUTCOMES.length; outcome++) if (this.connections.tries(i, outcome) > 0) return outcome;
    return OUTCOMES.length - 1;
  }

  /** Returns the ends of connection `i` at its own time. */
  ends(i: number): Ends {
    const known = this.#participants[2 * i];
    if (known !== undefined) return this.#plainEnds(i, known, this.#participants[2 * i + 1]!);
    return this.translated(i)!;
  }

  /** The same of a connection that was translated on its way; undefined where its two endpoints and its port are all that there is to say. */
  translated(i: number): Ends | undefined {
    if (this.#participants[2 * i] !== undefined) return undefined;
    const known = this.#ends.get(i);
    if (known !== undefined) return known;
    const seconds = this.#startOf(i);
    const source = this.#resolver.endAt(this.connections.source(i), seconds);
    return this.#resolve(i, source, this.#resolver.endAt(this.connections.destination(i), seconds, source.participant));
  }

  /**
   * Judges a connection that nobody translated, as nearly all are, by the numbers of its ends alone; undefined where it takes more.
   */
  #judgePlain(i: number, source: End, destination: End): Judgement | undefined {
    const { connections, evaluator } = this;
    if (connections.via(i) >= 0 || this.#isUnread !== undefined || connections.isDoubtful(i)) return undefined;
    const packet = this.#packetOf(i);
    if (!packet.hasIcmpType && isIcmp(packet.protocol)) return undefined;
    const ends = { source: source.participant, via: undefined, arrivesFrom: undefined };
    const { participant } = destination;
    return judgeTarget(evaluator, ends, packet, participant, connections.port(i), this.#classOf(source), this.#classOf(destination));
  }

  #classOf({ id, participant }: End): number {
    return id < 0 ? this.evaluator.classify(participant) : (this.#classes[id] ??= this.evaluator.classify(participant));
  }

  /** Resolves the ends of a connection between two ends as they were at its time. */
  #resolve(i: number, from: End, to: End): Ends {
    const { connections } = this;
    const port = connections.port(i);
    const { participant: source, address: sourceAddress, endpoint: sourceEndpoint } = from;
    const { participant, address, endpoint: destinationEndpoint } = to;
    const plain: Ends = {
      source,
      sourceAddress,
      sourceEndpoint,
      destinationEndpoint,
      destinationAddress: address,
      port,
      via: undefined,
      arrivesFrom: undefined,
      targets: [{ participant, address, port }],
    };
    const viaId = connections.via(i);
    if (viaId < 0) return plain;
    // By address: a log may say more of one of the two.
    const isJoined = !(this.#addresses.addressOf(viaId) === address && connections.viaPort(i) === port);
    if (!isJoined)
      return dialledEnds(this.#resolver, source, sourceAddress, sourceEndpoint, address, port, connections.protocol(i)) ?? plain;
    const hidden = connections.arrivesFrom(i);
    return {
      ...plain,
      via: this.#translation(i),
      arrivesFrom: hidden < 0 ? undefined : [this.#resolver.endAt(hidden, this.#startOf(i)).participant],
    };
  }

  #startOf(i: number): number {
    return this.connections.firstSeconds(i) + this.connections.firstNanoseconds(i) * 1e-9;
  }

  /** Returns the ends of a connection that was judged before: whose the addresses are is not asked again. */
  #plainEnds(i: number, source: Participant, participant: Participant): Ends {
    const { connections } = this;
    const address = this.#addresses.addressOf(connections.destination(i));
    const port = this.ports[i];
    return {
      source,
      sourceAddress: this.#addresses.addressOf(connections.source(i)),
      sourceEndpoint: this.source(i),
      destinationEndpoint: this.destination(i),
      destinationAddress: address,
      port,
      via: undefined,
      arrivesFrom: undefined,
      targets: [{ participant, address, port }],
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
    const judgement = besideUnread(judgeEnds(evaluator, ends, this.#packetOf(i)), ends, evaluator, this.#isUnread);
    if (!this.connections.isDoubtful(i)) return judgement;
    const turned = this.#judgeTurned(i, evaluator, ends);
    if (turned === judgement.verdict) return judgement;
    if (turned !== undefined)
      return { egress: unsureInitiator(judgement.egress), ingress: unsureInitiator(judgement.ingress), verdict: "unknown" };
    if (judgement.verdict !== "deny") return judgement;
    return { egress: inDoubt(judgement.egress), ingress: inDoubt(judgement.ingress), verdict: "unknown" };
  }

  #packetOf(i: number): Packet {
    const { connections } = this;
    const packet = this.#packet;
    packet.i = i;
    packet.protocol = connections.protocol(i);
    packet.sourcePort = connections.sourcePort(i);
    packet.hasIcmpType = connections.hasIcmpType(i);
    return packet;
  }

  /** Returns the verdict had the destination begun; undefined where the port that it would have dialled is not known. */
  #judgeTurned(i: number, evaluator: Evaluator, { source, targets, via }: Ends): Verdict | undefined {
    const { connections } = this;
    const protocol = connections.protocol(i);
    // ICMP and protocols without ports would have been the same the other way round.
    const port = hasPorts(protocol) ? connections.sourcePort(i) : targets[0]?.port;
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
}

/** Reports whether two endpoints and a port are all that there is to say. */
function isPlain({ via, arrivesFrom, targets }: Ends): boolean {
  return via === undefined && arrivesFrom === undefined && targets.length === 1;
}

const perhapsReply = leftOpen("unknown-endpoint", "perhaps-a-reply");
const unsureInitiator = leftOpen("unknown-endpoint", "initiator-unsure");

function inDoubt(decision: Decision): Decision {
  return decision.verdict === "deny" ? perhapsReply(decision) : decision;
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
