import type { Decision } from "../evaluate/decision.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import type { Ends } from "../evaluate/ends.ts";
import { OUTCOME_NAMES, VERDICTS } from "../evaluate/simulation.ts";
import type { Connections } from "../flow/connections.ts";
import type { Kernel } from "../flow/kernel.ts";
import { OUTCOMES } from "../flow/outcome.ts";
import {
  TEXT_ATTEMPTS,
  TEXT_BYTES,
  TEXT_COUNT,
  TEXT_DESTINATION,
  TEXT_DIRECTIONS,
  TEXT_FIRST,
  TEXT_INGRESS,
  TEXT_LAST,
  TEXT_NULL,
  TEXT_OBSERVED,
  TEXT_PACKETS,
  TEXT_QUOTE,
  TEXT_SOURCE,
} from "../kernel/constants.ts";
import { formatAddress } from "../net/address.ts";
import { hasPorts, isIcmp, protocolName } from "../net/protocol.ts";
import type { Policy, RuleRef } from "../policy/model.ts";
import { endpointLabel } from "./labels.ts";
import { shownRequest } from "./shownRequest.ts";
import { decisionMessage, messageAround, type SimulationResult } from "./simulationResult.ts";
import { printableJson, safeJson } from "./text.ts";
import { TextPieces } from "./textPieces.ts";

/** Pieces of text (kernel/text.ts) by their places in the kernel's constants. */
const TEXTS = new Map([
  [TEXT_SOURCE, '{"source":'],
  [TEXT_DESTINATION, ',"destination":'],
  [TEXT_COUNT, ',"count":'],
  [TEXT_PACKETS, ',"packets":'],
  [TEXT_BYTES, ',"bytes":'],
  [TEXT_FIRST, ',"firstSeen":'],
  [TEXT_LAST, ',"lastSeen":'],
  [TEXT_QUOTE, '"'],
  [TEXT_NULL, "null"],
  [TEXT_INGRESS, ',"ingress":'],
  [TEXT_DIRECTIONS, ',"direction":"inferred","egress":'],
  [TEXT_DIRECTIONS + 1, ',"direction":"seen","egress":'],
  ...OUTCOMES.map((name, k) => [TEXT_ATTEMPTS + k, `${k === 0 ? ',"attempts":{' : ","}"${name}":`] as const),
  ...OUTCOMES.map((name, k) => [TEXT_OBSERVED + k, `},"observed":"${name}"`] as const),
]);

/** Text is handed on in pieces of about this many bytes: a million connections must not be a million writes. */
const HANDED_ON = 1 << 17;
/** Texts of ports and server names that are kept: some 10 MB of them, were each name another. */
const MOST_SHARED = 1 << 16;
/** Above all ports. */
const UNKNOWN_ICMP = 0x10000;

/**
 * Writes connections as the contract's Connection objects. A million connections share few endpoints and decisions, so the bytes
 * of those are made once; the kernel, which holds what was counted, puts them together. To be released.
 */
export class ConnectionWriter {
  readonly #result: SimulationResult;
  readonly #kernel: Kernel;
  readonly #shared: TextPieces;
  /** Of the connection at hand alone. */
  readonly #own: TextPieces;
  readonly #text: number;
  readonly #texts: number;
  readonly #closing: number;
  /** By the endpoint's number in the simulation. */
  readonly #endpoints: number[] = [];
  /** 0: the message tells more of the ends. */
  readonly #decisions = { egress: new Map<Decision, number>(), ingress: new Map<Decision, number>() };
  /** Protocol and port, by both; with the one server name that a client asked for, by that too. */
  readonly #ports = new Map<number | string, number>();
  /** What follows the decisions, by verdict, baseline and outcome. */
  readonly #tails: number[] = [];

  constructor(result: SimulationResult) {
    this.#result = result;
    this.#kernel = result.simulation.connections.kernel;
    this.#shared = new TextPieces(this.#kernel);
    this.#own = new TextPieces(this.#kernel);
    const places = Math.max(...TEXTS.keys()) + 1;
    this.#texts = this.#shared.addWords(Array.from({ length: places }, (_, place) => this.#shared.add(TEXTS.get(place)!)));
    this.#closing = this.#shared.add("}");
    this.#text = this.#kernel.calls.beginText();
  }

  /** Gives the kernel's memory back. */
  release(): void {
    this.#kernel.calls.endText(this.#text);
    this.#shared.release();
    this.#own.release();
  }

  get isFull(): boolean {
    return this.#kernel.calls.textLength(this.#text) >= HANDED_ON;
  }

  /** Returns what was written, valid until more is or the writer is released, and begins anew. */
  take(): Buffer {
    const { calls } = this.#kernel;
    const { buffer, byteOffset, length } = this.#kernel.octets(calls.textAddress(this.#text), calls.textLength(this.#text));
    calls.dropText(this.#text);
    return Buffer.from(buffer, byteOffset, length);
  }

  /** Adds text between connections. */
  add(text: string): void {
    this.#own.clear();
    this.#kernel.calls.putText(this.#text, this.#own.add(text));
  }

  /** Adds the JSON text of connection `i`. */
  write(i: number): void {
    const { simulation } = this.#result;
    const { connections } = simulation;
    const translated = simulation.translated(i);
    const { egress, ingress } = simulation.judgement(i);
    const accepted = this.#result.acceptedBecause(i);
    const own = this.#own;
    own.clear();
    this.#kernel.calls.putConnection(
      this.#text,
      connections.store,
      i,
      this.#texts,
      this.#endpoint(simulation.sourceNumbers[i]),
      translated?.via === undefined ? 0 : own.add(`,"via":${safeJson(viaObject(translated.via))}`),
      this.#endpoint(simulation.destinationNumbers[i]),
      this.#portsOf(i, translated?.targets ?? []),
      this.#decision(egress, "egress", i),
      this.#decision(ingress, "ingress", i),
      this.#tail(simulation.verdicts[i], simulation.baselines[i], simulation.outcomes[i]),
      accepted === undefined ? this.#closing : own.add(`,"accepted":${safeJson(accepted)}}`),
    );
  }

  #endpoint(number: number): number {
    return (this.#endpoints[number] ??= this.#addEndpoint(this.#result.simulation.endpoints[number]));
  }

  #addEndpoint(endpoint: Endpoint): number {
    const label = printableJson(endpointLabel(endpoint)).slice(1, -1);
    return this.#shared.addWords([this.#shared.add(endpointJson(endpoint)), this.#shared.add(label)]);
  }

  /** What comes between the destination and the counts. */
  #portsOf(i: number, targets: Ends["targets"]): number {
    const { simulation, hints } = this.#result;
    const { connections } = simulation;
    const rows = connections.hintRows(i);
    const hint = rows.length === 0 ? undefined : hints.first(rows[0]);
    const isRepeated = hint === undefined || (hint.http === undefined && hint.tls !== undefined && hint.dns === undefined);
    const isPlain = isRepeated && targets.length <= 1 && !connections.isCloudDenied(i);
    const protocol = connections.protocol(i);
    const port = isIcmp(protocol) ? (connections.hasIcmpType(i) ? connections.port(i) : UNKNOWN_ICMP) : simulation.ports[i];
    const number = protocol * (UNKNOWN_ICMP + 1) + port;
    const key = hint?.tls === undefined ? number : `${number} ${hint.tls.serverName}`;
    let piece = isPlain ? this.#ports.get(key) : undefined;
    if (piece !== undefined) return piece;
    const isShared = isPlain && this.#ports.size < MOST_SHARED;
    const backends = targets.length > 1 ? `,"backends":[${this.#backends(targets)}]` : "";
    const request = hint === undefined ? "" : `,"l7":${safeJson(shownRequest(hint))}`;
    const droppedBy = connections.isCloudDenied(i) ? ',"droppedBy":"cloud-firewall"' : "";
    piece = (isShared ? this.#shared : this.#own).add(`${backends}${portJson(connections, i, simulation.ports[i])}${request}${droppedBy}`);
    if (isShared) this.#ports.set(key, piece);
    return piece;
  }

  #backends(targets: Ends["targets"]): string {
    const { simulation } = this.#result;
    return targets
      .map(({ participant, address, port }) => `${endpointJson(simulation.endpointOf(participant, address)).slice(0, -1)},"port":${port}}`)
      .join(",");
  }

  #decision(decision: Decision, direction: "egress" | "ingress", i: number): number {
    let pieces = this.#decisions[direction].get(decision);
    if (pieces === undefined) {
      const texts = textsOf(decision, messageAround(decision, direction));
      pieces = texts === undefined ? 0 : this.#shared.addWords([0, 1, 2].map((k) => (k < texts.length ? this.#shared.add(texts[k]) : 0)));
      this.#decisions[direction].set(decision, pieces);
    }
    if (pieces !== 0) return pieces;
    const [text] = textsOf(decision, [decisionMessage(decision, direction, this.#result.simulation.ends(i))])!;
    return this.#own.addWords([this.#own.add(text), 0, 0]);
  }

  #tail(verdict: number, baseline: number, outcome: number): number {
    const key = (verdict * VERDICTS.length + baseline) * OUTCOME_NAMES.length + outcome;
    this.#tails[key] ??= this.#shared.add(
      `,"verdict":"${VERDICTS[verdict]}","baseline":"${VERDICTS[baseline]}","outcome":"${OUTCOME_NAMES[outcome]}"`,
    );
    return this.#tails[key];
  }
}

function endpointJson(endpoint: Endpoint): string {
  // Most of many are addresses outside.
  if (endpoint.type === "external" && endpoint.ip !== undefined && endpoint.names === undefined)
    return `{"type":"external","ip":"${endpoint.ip}"}`;
  const { why: _, ...shown } = endpoint;
  return safeJson(shown);
}

function portJson(connections: Connections, i: number, port: number): string {
  const protocol = connections.protocol(i);
  const text = `,"protocol":"${protocolName(protocol)}","port":${hasPorts(protocol) ? port : null}`;
  if (!isIcmp(protocol)) return text;
  return connections.hasIcmpType(i)
    ? `${text},"icmpType":${connections.icmpType(i)},"icmpCode":${connections.icmpCode(i)}`
    : `${text},"icmpType":null,"icmpCode":null`;
}

/** Returns a decision as JSON, in the parts that its message has. */
function textsOf({ verdict, reason, notes, isolatedBy, matched }: Decision, message: readonly string[] | undefined): string[] | undefined {
  if (message === undefined) return undefined;
  const head = safeJson({ verdict, reason, notes }).slice(0, -1);
  const tail = safeJson({
    isolatedBy: isolatedBy.map((policy) => refObject(policy)),
    matched: matched.map(({ policy, rule }) => refObject(policy, rule)),
  }).slice(1);
  const texts = message.map((text) => printableJson(text).slice(1, -1));
  texts[0] = `${head},"message":"${texts[0]}`;
  texts[texts.length - 1] += `",${tail}`;
  return texts;
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
