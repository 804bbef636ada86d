import type { Decision } from "../evaluate/decision.ts";
import type { Participant } from "../evaluate/evaluator.ts";
import { formatAddress } from "../net/address.ts";
import { hasPorts, isIcmp, protocolName } from "../net/protocol.ts";
import { coveredName, type FailedExpectation, type Forgotten } from "../synth/blindSpots.ts";
import type { Mutation } from "../synth/mutations.ts";
import { refObject } from "./connectionJson.ts";
import { lines, yamlList } from "./jsonList.ts";
import { countsOf, failureText, type ProbeResult } from "./probeResult.ts";
import { safeYaml } from "./safeYaml.ts";
import { safeJson } from "./text.ts";

/** Yields the report as one JSON object, a probe a line. */
export function* probeJson(result: ProbeResult): Generator<string> {
  yield `${safeJson(headOf(result), 2).slice(0, -2)},\n  "probes": [`;
  yield* lines(probeTexts(result));
  yield "]\n}\n";
}

/** Yields the report as one YAML document. */
export function* probeYaml(result: ProbeResult): Generator<string> {
  yield safeYaml(headOf(result));
  yield* yamlList("probes", probeTexts(result));
}

function headOf(result: ProbeResult): Record<string, unknown> {
  const { blindSpots, cni, warnings } = result;
  const { failed, redundant, missed, open, withoutDns, withoutHealthChecks } = blindSpots;
  return {
    apiVersion: "kguardian.dev/v1alpha1",
    kind: "ProbeReport",
    summary: countsOf(result),
    cni,
    warnings,
    blindSpots: {
      failed: failed.map((each) => failedObject(result, each)),
      redundant: redundant.map(mutationObject),
      missed: missed.map(mutationObject),
      notIsolated: open.map(({ namespace, workload, isolated }) => ({
        namespace,
        workload,
        ingress: isolated.ingress,
        egress: isolated.egress,
      })),
      withoutDns: withoutDns.map(forgottenObject),
      withoutHealthChecks: withoutHealthChecks.map(forgottenObject),
    },
  };
}

function failedObject(result: ProbeResult, failed: FailedExpectation): Record<string, unknown> {
  const { kind, policy, rule, probes, by, deciding } = failed;
  return {
    kind: { blocked: "asymmetry", overruled: "overruled", hole: "hole" }[kind],
    rule: refObject(policy, rule),
    message: failureText(result, failed),
    by:
      deciding.length > 0
        ? deciding.map(({ policy: own, rule: ref }) => refObject(own, ref))
        : by.isolatedBy.map((each) => refObject(each)),
    probes,
  };
}

/** Returns a mutation as reports hold it. */
export function mutationObject({ kind, policy, rule, what }: Mutation): Record<string, unknown> {
  return { ...refObject(policy, rule), change: kind, what };
}

function forgottenObject({ workload, policies }: Forgotten): Record<string, unknown> {
  return { workload: coveredName(workload), policies: policies.map((policy) => refObject(policy)) };
}

function* probeTexts({ probing: { probes, judgements } }: ProbeResult): Generator<string> {
  for (const [i, probe] of probes.entries()) {
    const { policy, rule, direction, source, destination, protocol, port, sourcePort, requests, what, isInside, expected } = probe;
    const { egress, ingress, verdict } = judgements[i];
    yield safeJson({
      ...refObject(policy, rule.path === "" ? undefined : rule),
      direction,
      what,
      source: endObject(source),
      destination: endObject(destination),
      protocol: protocolName(protocol),
      port: hasPorts(protocol) ? port : null,
      ...(isIcmp(protocol) ? { icmpType: port >> 8, icmpCode: port & 0xff } : {}),
      ...(sourcePort < 0 ? {} : { sourcePort }),
      ...(requests.length === 0 ? {} : { l7: requests[0] }),
      isInside: isInside ?? null,
      expected: expected ?? null,
      verdict,
      egress: sideObject(egress),
      ingress: sideObject(ingress),
    });
  }
}

function sideObject({ verdict, reason, matched, isolatedBy }: Decision): Record<string, unknown> {
  return {
    verdict,
    reason,
    isolatedBy: isolatedBy.map((policy) => refObject(policy)),
    matched: matched.map(({ policy, rule }) => refObject(policy, rule)),
  };
}

/** Returns one end; of a pod with its labels, since probes are made of pods that are nowhere. */
export function endObject(participant: Participant): Record<string, unknown> {
  const ip = participant.address === undefined ? {} : { ip: formatAddress(participant.address) };
  switch (participant.type) {
    case "pod": {
      const { namespace, name, labels, workload } = participant.pod;
      return { type: "pod", namespace, name, workload: `${workload.kind}/${workload.name}`, ...ip, labels };
    }
    case "node":
      return {
        type: "node",
        name: participant.node.name,
        ...ip,
        ...(participant.relation === undefined ? {} : { relation: participant.relation }),
      };
    case "reserved":
      return { type: participant.entity, ...ip };
    case "external":
    case "unknown":
      return { type: participant.type, ...ip };
  }
}
