import type { Decision } from "../evaluate/decision.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import type { Ends } from "../evaluate/ends.ts";
import { OUTCOME_NAMES, VERDICTS } from "../evaluate/simulation.ts";
import { OUTCOMES } from "../flow/outcome.ts";
import { formatAddress } from "../net/address.ts";
import { hasPorts, isIcmp, protocolName } from "../net/protocol.ts";
import { formatRfc3339 } from "../net/time.ts";
import type { Policy, RuleRef } from "../policy/model.ts";
import { endpointLabel } from "./labels.ts";
import { shownRequest } from "./shownRequest.ts";
import { decisionMessage, messageAround, type SimulationResult } from "./simulationResult.ts";
import { printable, safeJson } from "./text.ts";
import type { TextBytes } from "./textBytes.ts";

/** An endpoint as connections show it, and its label as messages within JSON do. */
interface EndpointText {
  readonly json: Buffer;
  readonly label: string;
}

/** A decision around the labels of its subject and of the other end; `message` where it tells more of them. */
interface DecisionText {
  readonly around: readonly Buffer[];
  readonly message: { readonly head: string; readonly tail: string } | undefined;
}

const SOURCE = Buffer.from('{"source":');
const DESTINATION = Buffer.from(',"destination":');
const INGRESS = Buffer.from(',"ingress":');
/** What stands around the count of attempts where all ended alike, by OUTCOMES. */
const BEFORE_ATTEMPTS = OUTCOMES.map(
  (_, k) =>
    `,"attempts":{${OUTCOMES.slice(0, k)
      .map((name) => `"${name}":0,`)
      .join("")}"${OUTCOMES[k]}":`,
);
const AFTER_ATTEMPTS = OUTCOMES.map(
  (_, k) =>
    `${OUTCOMES.slice(k + 1)
      .map((name) => `,"${name}":0`)
      .join("")}}`,
);

/**
 * Writes connections as the contract's Connection objects. A million connections share few endpoints and decisions, so the bytes
 * of those are made once and copied: several times faster than an object a connection.
 */
export class ConnectionWriter {
  readonly #result: SimulationResult;
  readonly #endpoints = new Map<Endpoint, EndpointText>();
  readonly #decisions = { egress: new Map<Decision, DecisionText>(), ingress: new Map<Decision, DecisionText>() };
  /** What follows the decisions, by verdict, baseline and outcome. */
  readonly #ends: Buffer[] = [];

  constructor(result: SimulationResult) {
    this.#result = result;
  }

  /** Adds the JSON text of connection `i`. */
  write(i: number, out: TextBytes): void {
    const { simulation, hints } = this.#result;
    const { connections } = simulation;
    const ends = simulation.ends(i);
    const { egress, ingress } = simulation.judgement(i);
    const protocol = connections.protocol(i);
    const isCounted = connections.isCounted(i);
    const hint = hints.first(connections.hintRows(i)[0]);
    const accepted = this.#result.acceptedBecause(i);
    const source = this.#endpoint(ends.sourceEndpoint);
    const destination = this.#endpoint(ends.destinationEndpoint);
    out.addBytes(SOURCE);
    out.addBytes(source.json);
    if (ends.via) out.add(`,"via":${safeJson(viaObject(ends.via))}`);
    out.addBytes(DESTINATION);
    out.addBytes(destination.json);
    if (ends.targets.length > 1) out.add(`,"backends":[${this.#backends(ends)}]`);
    let text = `,"protocol":"${protocolName(protocol)}","port":${hasPorts(protocol) ? ends.port : null}`;
    if (isIcmp(protocol))
      text += connections.hasIcmpType(i)
        ? `,"icmpType":${connections.icmpType(i)},"icmpCode":${connections.icmpCode(i)}`
        : ',"icmpType":null,"icmpCode":null';
    if (hint) text += `,"l7":${safeJson(shownRequest(hint))}`;
    if (connections.isCloudDenied(i)) text += ',"droppedBy":"cloud-firewall"';
    text += `,"count":${connections.isTallied(i) ? connections.count(i) : null},"packets":${isCounted ? connections.packets(i) : null},"bytes":${isCounted ? connections.bytes(i) : null}`;
    text += `,"firstSeen":${timeJson(connections.firstSeconds(i), connections.firstNanoseconds(i))}`;
    text += `,"lastSeen":${timeJson(connections.lastSeconds(i), connections.lastNanoseconds(i))}`;
    text += `${attemptsJson(connections.attempts(i))},"observed":"${OUTCOMES[simulation.observed(i)]}`;
    out.add(text + (connections.isSeen(i) ? '","direction":"seen","egress":' : '","direction":"inferred","egress":'));
    this.#decision(egress, "egress", ends, source, destination, out);
    out.addBytes(INGRESS);
    this.#decision(ingress, "ingress", ends, destination, source, out);
    out.addBytes(this.#end(simulation.verdicts[i], simulation.baselines[i], simulation.outcomes[i]));
    out.add(accepted === undefined ? "}" : `,"accepted":${safeJson(accepted)}}`);
  }

  #endpoint(endpoint: Endpoint): EndpointText {
    let text = this.#endpoints.get(endpoint);
    if (text === undefined) {
      const { why: _, ...shown } = endpoint;
      const label = safeJson(printable(endpointLabel(endpoint))).slice(1, -1);
      this.#endpoints.set(endpoint, (text = { json: Buffer.from(safeJson(shown)), label }));
    }
    return text;
  }

  #backends(ends: Ends): string {
    const { simulation } = this.#result;
    return ends.targets
      .map(
        ({ participant, address, port }) =>
          `${this.#endpoint(simulation.endpointOf(participant, address)).json.toString().slice(0, -1)},"port":${port}}`,
      )
      .join(",");
  }

  #decision(
    decision: Decision,
    direction: "egress" | "ingress",
    ends: Ends,
    subject: EndpointText,
    other: EndpointText,
    out: TextBytes,
  ): void {
    let known = this.#decisions[direction].get(decision);
    if (known === undefined) this.#decisions[direction].set(decision, (known = textOf(decision, direction)));
    const { around, message } = known;
    if (message !== undefined) {
      out.add(`${message.head},"message":${safeJson(decisionMessage(decision, direction, ends))},${message.tail}`);
      return;
    }
    out.addBytes(around[0]);
    if (around.length === 1) return;
    out.add(subject.label);
    out.addBytes(around[1]);
    if (around.length === 2) return;
    out.add(other.label);
    out.addBytes(around[2]);
  }

  #end(verdict: number, baseline: number, outcome: number): Buffer {
    const key = (verdict * VERDICTS.length + baseline) * OUTCOME_NAMES.length + outcome;
    this.#ends[key] ??= Buffer.from(
      `,"verdict":"${VERDICTS[verdict]}","baseline":"${VERDICTS[baseline]}","outcome":"${OUTCOME_NAMES[outcome]}"`,
    );
    return this.#ends[key];
  }
}

function textOf(decision: Decision, direction: "egress" | "ingress"): DecisionText {
  const { verdict, reason, notes, isolatedBy, matched } = decision;
  const head = safeJson({ verdict, reason, notes }).slice(0, -1);
  const tail = safeJson({
    isolatedBy: isolatedBy.map((policy) => refObject(policy)),
    matched: matched.map(({ policy, rule }) => refObject(policy, rule)),
  }).slice(1);
  const texts = messageAround(decision, direction)?.map((text) => safeJson(printable(text)).slice(1, -1));
  if (texts === undefined) return { around: [], message: { head, tail } };
  texts[0] = `${head},"message":"${texts[0]}`;
  texts[texts.length - 1] += `",${tail}`;
  return { around: texts.map((text) => Buffer.from(text)), message: undefined };
}

function attemptsJson(attempts: readonly number[]): string {
  const only = attempts.findIndex((count) => count > 0);
  if (only >= 0 && attempts.every((count, k) => count === 0 || k === only))
    return BEFORE_ATTEMPTS[only] + attempts[only] + AFTER_ATTEMPTS[only];
  return `,"attempts":{${OUTCOMES.map((name, k) => `"${name}":${attempts[k]}`).join()}}`;
}

function timeJson(seconds: number, nanoseconds: number): string {
  const text = Number.isNaN(seconds) ? undefined : formatRfc3339(seconds, nanoseconds);
  return text === undefined ? "null" : `"${text}"`;
}

/** Returns a decision as the contract's Decision, for reports of few connections. */
export function decisionObject(decision: Decision, direction: "egress" | "ingress", ends: Ends): Record<string, unknown> {
  const { verdict, reason, notes, isolatedBy, matched } = decision;
  return {
    verdict,
    reason,
    notes,
    message: decisionMessage(decision, direction, ends),
    isolatedBy: isolatedBy.map((policy) => refObject(policy)),
    matched: matched.map(({ policy, rule }) => refObject(policy, rule)),
  };
}

/** Returns what was dialled, as the contract's `via`. */
export function viaObject({ address, port, service }: NonNullable<Ends["via"]>): Record<string, unknown> {
  return { ip: formatAddress(address), port, ...(service === undefined ? {} : { service }) };
}

/** Returns a policy, or one of its rules, as the contract's Ref. */
export function refObject({ ref }: Pick<Policy, "ref">, rule?: RuleRef): Record<string, unknown> {
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
