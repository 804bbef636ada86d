import type { AddressTable } from "../flow/addressTable.ts";
import type { Connections } from "../flow/connections.ts";
import { type ObservedOutcome, OUTCOMES } from "../flow/outcome.ts";
import type { Address } from "../net/address.ts";
import { hasPorts, isIcmp } from "../net/protocol.ts";
import { combine, type Decision, type Verdict } from "./decision.ts";
import type { Endpoint, EndpointResolver } from "./endpoints.ts";
import { dialledEnds, type Ends, type Target } from "./ends.ts";
import type { Evaluator, Participant } from "./evaluator.ts";
import { besideUnread, type IsUnread, type Judgement, judgeEnds, leftOpen, type Packet } from "./judge.ts";
import type { Request } from "./l7.ts";

export type Outcome = "permitted" | "misdropped" | "would-drop" | "rejected" | "unknown";

export const VERDICTS: readonly Verdict[] = ["allow", "deny", "unknown"];
/** Of so many connections the ends are kept that are not plain, about 250 bytes each. */
const KEPT_ENDS = 1 << 17;
export const OUTCOME_NAMES: readonly Outcome[] = ["permitted", "misdropped", "would-drop", "rejected", "unknown"];

const NOBODY: Participant = { type: "unknown" };
const NOWHERE: Endpoint = { type: "unknown" };

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
  /** The ends of others, which judging, explaining and printing ask for; of very many they would fill the memory. */
  readonly #ends = new Map<number, Ends>();
  /** The ends of the plain connection at hand: one object for all of them. */
  readonly #plain: { -readonly [Key in keyof Ends]: Ends[Key] } & { readonly targets: [{ -readonly [Key in keyof Target]: Target[Key] }] } =
    {
      source: NOBODY,
      sourceAddress: 0n,
      sourceEndpoint: NOWHERE,
      destinationEndpoint: NOWHERE,
      destinationAddress: 0n,
      port: 0,
      via: undefined,
      arrivesFrom: undefined,
      targets: [{ participant: NOBODY, address: 0n, port: 0 }],
    };
  readonly #addresses: AddressTable;
  readonly #resolver: EndpointResolver;
  readonly #requestsOf: (i: number) => readonly Request[];
  /** What is asked of the connection at hand: one object for all of them. */
  readonly #packet = { i: 0, protocol: 0, sourcePort: -1, hasIcmpType: true, requests: () => this.#requestsOf(this.#packet.i) };
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
      const ends = this.#resolve(i);
      const isPlain = ends.via === undefined && ends.arrivesFrom === undefined && ends.targets.length === 1;
      this.#participants.push(isPlain ? ends.source : undefined, isPlain ? ends.targets[0].participant : undefined);
      if (!isPlain && this.#ends.size < KEPT_ENDS) this.#ends.set(i, ends);
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
      this.outcomes[i] = OUTCOME_NAMES.indexOf(outcomeOf(verdict, OUTCOMES[this.observed(i)], this.connections.mayHaveWorked(i) > 0));
      if ((i & 0xfff) === 0) progress?.(i);
    }
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
    return this.#ends.get(i) ?? this.#resolve(i);
  }

  /** Resolves the ends of a connection that nobody translated. What is returned holds until the next call. */
  #resolvePlain(i: number): Ends {
    const { connections } = this;
    const resolver = this.#resolver;
    const seconds = this.#startOf(i);
    const plain = this.#plain;
    const [target] = plain.targets;
    plain.sourceAddress = this.#addresses.addressOf(connections.source(i));
    plain.source = resolver.participantAt(connections.source(i), seconds);
    plain.sourceEndpoint = resolver.endpointOf(plain.source, plain.sourceAddress, seconds);
    plain.destinationAddress = target.address = this.#addresses.addressOf(connections.destination(i));
    target.participant = resolver.participantAt(connections.destination(i), seconds, plain.source);
    plain.destinationEndpoint = resolver.endpointOf(target.participant, target.address, seconds);
    plain.port = target.port = connections.port(i);
    return plain;
  }

  /** Resolves the ends of a connection; what is returned of one that turns out plain holds until the next call. */
  #resolve(i: number): Ends {
    const { connections } = this;
    const plain = this.#resolvePlain(i);
    const viaId = connections.via(i);
    if (viaId < 0) return plain;
    const { source, sourceAddress, sourceEndpoint, destinationAddress: address, port, targets } = plain;
    // By address: a log may say more of one of the two.
    const isJoined = !(this.#addresses.addressOf(viaId) === address && connections.viaPort(i) === port);
    if (!isJoined)
      return dialledEnds(this.#resolver, source, sourceAddress, sourceEndpoint, address, port, connections.protocol(i)) ?? plain;
    const hidden = connections.arrivesFrom(i);
    return {
      ...plain,
      via: this.#translation(i),
      arrivesFrom: hidden < 0 ? undefined : [this.#resolver.participantAt(hidden, this.#startOf(i))],
      targets: [{ ...targets[0] }],
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
      sourceEndpoint: this.sources[i],
      destinationEndpoint: this.destinations[i],
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
