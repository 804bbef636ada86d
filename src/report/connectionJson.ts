import type { Decision, Reason } from "../evaluate/decision.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import { type Ends, OUTCOME_NAMES, VERDICTS } from "../evaluate/simulation.ts";
import { OUTCOMES } from "../flow/outcome.ts";
import { formatAddress } from "../net/address.ts";
import { hasPorts, isIcmp, protocolName } from "../net/protocol.ts";
import { formatRfc3339 } from "../net/time.ts";
import type { Policy, RuleRef } from "../policy/model.ts";
import { endpointLabel } from "./labels.ts";
import { decisionMessage, type SimulationResult } from "./simulationResult.ts";
import { safeJson } from "./text.ts";

/** The text of a decision around its message, and the whole of it for ends that many connections share, by their labels. */
interface DecisionText {
  readonly head: string;
  readonly tail: string;
  readonly whole: Map<string, Map<string, string>>;
}

const ATTEMPT_KEYS = OUTCOMES.map((name) => `"${name}":`);

/** Reasons whose message names the subject alone. */
const SUBJECT_ONLY: ReadonlySet<Reason> = new Set(["no-policy", "not-selectable", "self", "own-node", "rule"]);

/**
 * Writes connections as the contract's Connection objects. A million connections share few endpoints and decisions, so the text
 * of those is made once and put together: several times faster than an object a connection.
 */
export class ConnectionWriter {
  readonly #result: SimulationResult;
  readonly #endpoints = new Map<Endpoint, string>();
  readonly #labels = new Map<Endpoint, string>();
  readonly #decisions = { egress: new Map<Decision, DecisionText>(), ingress: new Map<Decision, DecisionText>() };

  constructor(result: SimulationResult) {
    this.#result = result;
  }

  /** Returns the JSON text of connection `i`. */
  json(i: number): string {
    const { simulation, hints } = this.#result;
    const { connections } = simulation;
    const ends = simulation.ends(i);
    const { egress, ingress, verdict } = simulation.judgement(i);
    const protocol = connections.protocol(i);
    const isCounted = connections.isCounted[i];
    const attempts = connections.attempts[i];
    const hint = hints.first(connections.hintRow[i]);
    const accepted = this.#result.acceptedBecause(i);
    let text = `{"source":${this.#endpoint(ends.sourceEndpoint)}`;
    if (ends.via) text += `,"via":${viaJson(ends.via)}`;
    text += `,"destination":${this.#endpoint(ends.destinationEndpoint)}`;
    if (ends.targets.length > 1) text += `,"backends":[${this.#backends(i, ends)}]`;
    text += `,"protocol":"${protocolName(protocol)}","port":${hasPorts(protocol) ? ends.port : null}`;
    if (isIcmp(protocol))
      text += connections.hasIcmpType(i)
        ? `,"icmpType":${connections.icmpType(i)},"icmpCode":${connections.icmpCode(i)}`
        : ',"icmpType":null,"icmpCode":null';
    if (hint) text += `,"l7":${safeJson(hint)}`;
    text += `,"count":${connections.count[i]},"packets":${isCounted ? connections.packets[i] : null},"bytes":${isCounted ? connections.bytes[i] : null}`;
    text += `,"firstSeen":${timeJson(connections.firstSeconds[i], connections.firstNanoseconds[i])}`;
    text += `,"lastSeen":${timeJson(connections.lastSeconds[i], connections.lastNanoseconds[i])}`;
    for (let k = 0; k < OUTCOMES.length; k++) text += (k === 0 ? ',"attempts":{' : ",") + ATTEMPT_KEYS[k] + attempts[k];
    text += `},"observed":"${OUTCOMES[simulation.observed(i)]}","direction":"${connections.isSeen[i] ? "seen" : "inferred"}"`;
    text += `,"egress":${this.#decision(egress, "egress", ends)},"ingress":${this.#decision(ingress, "ingress", ends)}`;
    text += `,"verdict":"${verdict}","baseline":"${VERDICTS[simulation.baselines[i]]}","outcome":"${OUTCOME_NAMES[simulation.outcomes[i]]}"`;
    return accepted === undefined ? `${text}}` : `${text},"accepted":${safeJson(accepted)}}`;
  }

  #endpoint(endpoint: Endpoint): string {
    let text = this.#endpoints.get(endpoint);
    if (text === undefined) {
      const { why: _, ...shown } = endpoint;
      this.#endpoints.set(endpoint, (text = safeJson(shown)));
    }
    return text;
  }

  #backends(i: number, ends: Ends): string {
    const { simulation } = this.#result;
    return ends.targets
      .map(
        ({ participant, address, port }) =>
          `${this.#endpoint(simulation.endpointOf(i, participant, address)).slice(0, -1)},"port":${port}}`,
      )
      .join(",");
  }

  #decision(decision: Decision, direction: "egress" | "ingress", ends: Ends): string {
    let known = this.#decisions[direction].get(decision);
    if (known === undefined) this.#decisions[direction].set(decision, (known = textOf(decision)));
    const { head, tail, whole } = known;
    const [subject, other] = partiesOf(direction, ends);
    // Workloads are few, and one text serves all their connections; outside addresses are as many as connections may be.
    const isShared =
      subject.type !== "external" && (SUBJECT_ONLY.has(decision.reason) || (decision.reason === "isolated" && other.type !== "external"));
    if (!isShared) return `${head},"message":${safeJson(decisionMessage(decision, direction, ends))},${tail}`;
    const key = this.#label(subject);
    let ofSubject = whole.get(key);
    if (ofSubject === undefined) whole.set(key, (ofSubject = new Map()));
    const otherKey = decision.reason === "isolated" ? this.#label(other) : "";
    let text = ofSubject.get(otherKey);
    if (text === undefined)
      ofSubject.set(otherKey, (text = `${head},"message":${safeJson(decisionMessage(decision, direction, ends))},${tail}`));
    return text;
  }

  #label(endpoint: Endpoint): string {
    let label = this.#labels.get(endpoint);
    if (label === undefined) this.#labels.set(endpoint, (label = endpointLabel(endpoint)));
    return label;
  }
}

function partiesOf(direction: "egress" | "ingress", { sourceEndpoint, destinationEndpoint }: Ends): readonly [Endpoint, Endpoint] {
  return direction === "egress" ? [sourceEndpoint, destinationEndpoint] : [destinationEndpoint, sourceEndpoint];
}

function textOf({ verdict, reason, notes, isolatedBy, matched }: Decision): DecisionText {
  const head = safeJson({ verdict, reason, notes }).slice(0, -1);
  const tail = safeJson({
    isolatedBy: isolatedBy.map((policy) => refObject(policy)),
    matched: matched.map(({ policy, rule }) => refObject(policy, rule)),
  }).slice(1);
  return { head, tail, whole: new Map() };
}

function viaJson({ address, port, service }: NonNullable<Ends["via"]>): string {
  return safeJson({ ip: formatAddress(address), port, ...(service === undefined ? {} : { service }) });
}

function timeJson(seconds: number, nanoseconds: number): string {
  const text = Number.isNaN(seconds) ? undefined : formatRfc3339(seconds, nanoseconds);
  return text === undefined ? "null" : `"${text}"`;
}

function refObject({ ref }: Policy, rule?: RuleRef): Record<string, unknown> {
  const { file, line } = rule ?? ref;
  return {
    kind: ref.kind,
    ...(ref.namespace === undefined ? {} : { namespace: ref.namespace }),
    name: ref.name,
    ...(rule === undefined ? {} : { rule: rule.path }),
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
  };
}
