import { faultText, type PolicyAnswer, type SideExplanation } from "../evaluate/explanation.ts";
import type { ChangedObject } from "../generate/change/smallestChange.ts";
import { formatPortRange } from "../net/portRange.ts";
import { formatPrefix } from "../net/prefix.ts";
import { hasPorts, isIcmp, protocolName } from "../net/protocol.ts";

import { decisionObject, refObject, viaObject } from "./connectionJson.ts";
import { type ExplainedCase, type ExplainedPort, type ExplainResult, isChange, plainEndpoint, verdictOf } from "./explanation.ts";
import { safeYaml } from "./safeYaml.ts";
import { safeJson } from "./text.ts";
import { textDiff } from "./textDiff.ts";

const API_VERSION = "kguardian.dev/v1alpha1";
const KIND = "ExplainReport";

export function explanationJson(result: ExplainResult): string {
  return `${safeJson(reportObject(result), 2)}\n`;
}

export function explanationYaml(result: ExplainResult): string {
  return safeYaml(reportObject(result), -1);
}

function reportObject(result: ExplainResult): Record<string, unknown> {
  const { source, destination, cni, policies, warnings, cases, otherPorts, prefixes } = result;
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    source,
    destination,
    verdict: verdictOf(result),
    cni,
    policies,
    warnings,
    cases: cases.map(caseObject),
    otherPorts: otherPorts.map(({ protocol, first, last, verdict }) => ({
      protocol: protocolName(protocol),
      ports: formatPortRange({ first, last }),
      verdict,
    })),
    prefixes: prefixes.map(({ prefix, verdict }) => ({ prefix: formatPrefix(prefix), verdict })),
  };
}

function caseObject(one: ExplainedCase): Record<string, unknown> {
  const { ends, ports, judgement, egress, ingress, sources, destinations, families, connections } = one;
  return {
    source: plainEndpoint(ends.sourceEndpoint),
    ...(ends.via === undefined ? {} : { via: viaObject(ends.via) }),
    destination: plainEndpoint(ends.destinationEndpoint),
    ...(sources === undefined ? {} : { sources }),
    ...(destinations === undefined ? {} : { destinations }),
    ...(families === undefined ? {} : { families: families.map((family) => `IPv${family}`) }),
    ports: ports.map(portObject),
    connections,
    verdict: judgement.verdict,
    egress: { ...decisionObject(judgement.egress, "egress", ends), ...sideObject(egress) },
    ingress: { ...decisionObject(judgement.ingress, "ingress", ends), ...sideObject(ingress) },
    change: changeObject(one),
  };
}

function portObject({ protocol, port, dialled, name, isAny }: ExplainedPort): Record<string, unknown> {
  const icmp = isIcmp(protocol) ? { icmpType: port >> 8, icmpCode: port & 255 } : {};
  return {
    protocol: protocolName(protocol),
    port: hasPorts(protocol) ? port : null,
    ...icmp,
    ...(dialled === undefined ? {} : { dialled }),
    ...(name === undefined ? {} : { name }),
    ...(isAny === true ? { isAny } : {}),
  };
}

function sideObject({ policies, nearlySelecting }: SideExplanation): Record<string, unknown> {
  return {
    policies: policies.map(policyObject),
    nearlySelecting: nearlySelecting.map(({ policy, text, selectsNoPod }) => ({ ...refObject(policy), why: text, selectsNoPod })),
  };
}

function policyObject({ policy, stage, selects, isolates, isAsked, decides, rules }: PolicyAnswer): Record<string, unknown> {
  return {
    ...refObject(policy),
    ...(stage === undefined ? { isIgnored: true } : { stage }),
    ...(selects === true ? {} : { selects }),
    isolates,
    isAsked,
    decides,
    rules: rules.map(({ rule, ref, role, why }) => ({
      rule: ref.path,
      ...(ref.file === undefined ? {} : { file: ref.file }),
      ...(ref.line === undefined ? {} : { line: ref.line }),
      action: rule.action,
      role,
      ...(why === undefined ? {} : { why: faultText(why) }),
    })),
  };
}

function changeObject({ change }: ExplainedCase): Record<string, unknown> {
  if (!isChange(change)) return { none: change.reason, message: change.message };
  return { verdict: change.verdict, flips: change.flipped, objects: change.objects.map(changedObject) };
}

function changedObject({ ref, isNew, what, before, after, notes }: ChangedObject): Record<string, unknown> {
  return {
    ...refObject({ ref }),
    change: isNew ? "added" : "changed",
    what,
    notes,
    text: textDiff(before, after).join("\n"),
    object: after,
  };
}
