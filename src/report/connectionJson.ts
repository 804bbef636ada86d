import type { Decision } from "../evaluate/decision.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import { type Ends, OUTCOME_NAMES, VERDICTS } from "../evaluate/simulation.ts";
import { OUTCOMES } from "../flow/outcome.ts";
import { formatAddress } from "../net/address.ts";
import { hasPorts, isIcmp, protocolName } from "../net/protocol.ts";
import { formatRfc3339 } from "../net/time.ts";
import type { Policy, RuleRef } from "../policy/model.ts";
import { decisionMessage, type SimulationResult } from "./simulationResult.ts";
import { safeJson } from "./text.ts";

/**
 * Writes connections as the contract's Connection objects. A million connections share few endpoints and decisions, so the text
 * of those is made once and put together: several times faster than an object a connection.
 */
export class ConnectionWriter {
  readonly #result: SimulationResult;
  readonly #endpoints = new Map<Endpoint, string>();
  readonly #decisions = new Map<Decision, { readonly head: string; readonly tail: string }>();

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
    const hint = hints.get(connections.hintRow[i]);
    const accepted = this.#result.acceptedBecause(i);
    const attempts = OUTCOMES.map((name, k) => `"${name}":${connections.attempts[i][k]}`);
    return [
      `{"source":${this.#endpoint(ends.sourceEndpoint)}`,
      ends.via ? `,"via":${viaJson(ends.via)}` : "",
      `,"destination":${this.#endpoint(ends.destinationEndpoint)}`,
      ends.targets.length > 1 ? `,"backends":[${this.#backends(i, ends)}]` : "",
      `,"protocol":"${protocolName(protocol)}","port":${hasPorts(protocol) ? ends.port : null}`,
      isIcmp(protocol) ? `,"icmpType":${connections.icmpType(i)},"icmpCode":${connections.icmpCode(i)}` : "",
      hint ? `,"l7":${safeJson(hint)}` : "",
      `,"count":${connections.count[i]},"packets":${isCounted ? connections.packets[i] : null},"bytes":${isCounted ? connections.bytes[i] : null}`,
      `,"firstSeen":${timeJson(connections.firstSeconds[i], connections.firstNanoseconds[i])},"lastSeen":${timeJson(connections.lastSeconds[i], connections.lastNanoseconds[i])}`,
      `,"attempts":{${attempts.join(",")}},"observed":"${OUTCOMES[simulation.observed(i)]}","direction":"${connections.isSeen[i] ? "seen" : "inferred"}"`,
      `,"egress":${this.#decision(egress, "egress", ends)},"ingress":${this.#decision(ingress, "ingress", ends)}`,
      `,"verdict":"${verdict}","baseline":"${VERDICTS[simulation.baselines[i]]}","outcome":"${OUTCOME_NAMES[simulation.outcomes[i]]}"`,
      accepted === undefined ? "}" : `,"accepted":${safeJson(accepted)}}`,
    ].join("");
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
    let parts = this.#decisions.get(decision);
    if (parts === undefined) {
      const { verdict, reason, notes, isolatedBy, matched } = decision;
      const head = safeJson({ verdict, reason, notes }).slice(0, -1);
      const tail = safeJson({
        isolatedBy: isolatedBy.map((policy) => refObject(policy)),
        matched: matched.map(({ policy, rule }) => refObject(policy, rule)),
      }).slice(1);
      this.#decisions.set(decision, (parts = { head, tail }));
    }
    return `${parts.head},"message":${safeJson(decisionMessage(decision, direction, ends))},${parts.tail}`;
  }
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
