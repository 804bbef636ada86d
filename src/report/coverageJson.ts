import { shortWorkload } from "../cluster/workloads.ts";
import type { WrittenRule } from "../evaluate/coverageRules.ts";
import type { PolicyRef, RuleRef } from "../policy/model.ts";
import { type CoverageResult, type CoveredRule, percentageOf, rulesWith } from "./coverageResult.ts";
import { lines, yamlList } from "./jsonList.ts";
import { safeYaml } from "./safeYaml.ts";
import { safeJson } from "./text.ts";

function headOf(result: CoverageResult): Record<string, unknown> {
  const { simulation, ignored, minimum, warnings, idlePolicies, tighter } = result;
  const { connections, allow, deny, unknown, window, confidence } = simulation.summary;
  const count = (finding: Parameters<typeof rulesWith>[1]) => rulesWith(result, finding).length;
  return {
    apiVersion: "kguardian.dev/v1alpha1",
    kind: "CoverageReport",
    summary: {
      ...percentageOf(result),
      minimum: minimum ?? null,
      dead: count("dead"),
      notExercised: count("not-exercised"),
      useUnknown: count("unknown"),
      redundant: count("redundant"),
      matchesNothing: count("matches-nothing"),
      wider: count("wider"),
      connections,
      allow,
      deny,
      unknown,
      window,
      confidence,
      ignored: ignored.map(({ ref }) => refOf(ref)),
    },
    cni: simulation.cni,
    warnings,
    inputs: simulation.inputs,
    selectsNoPod: idlePolicies.map(({ policy, near }) => ({ ...refOf(policy.ref), ...(near === undefined ? {} : { near }) })),
    tighter: tighter.map(({ policy, text, diff }) => ({ ...refOf(policy.ref), text, diff: `${diff.join("\n")}\n` })),
  };
}

/** Yields the report as one JSON object, a rule a line. */
export function* coverageJson(result: CoverageResult): Generator<string> {
  yield `${safeJson(headOf(result), 2).slice(0, -2)},\n  "rules": [`;
  yield* lines(ruleTexts(result));
  yield `],\n  "workloads": [`;
  yield* lines(workloadTexts(result));
  yield "]\n}\n";
}

/** Yields the report as one YAML document. */
export function* coverageYaml(result: CoverageResult): Generator<string> {
  yield safeYaml(headOf(result));
  yield* yamlList("rules", ruleTexts(result));
  yield* yamlList("workloads", workloadTexts(result));
}

function refOf({ kind, namespace, name, file, line }: PolicyRef) {
  return { kind, ...(namespace === undefined ? {} : { namespace }), name, ...(file === undefined ? {} : { file, line }) };
}

function placeOf({ file, line }: RuleRef) {
  return file === undefined ? {} : { file, ...(line === undefined ? {} : { line }) };
}

function ruleRef({ policy, path, ref }: WrittenRule) {
  const { file: _, line: __, ...own } = refOf(policy.ref);
  return { ...own, rule: path, ...placeOf(ref) };
}

function* ruleTexts({ rules }: CoverageResult): Generator<string> {
  for (const covered of rules) yield safeJson(ruleFields(covered));
}

function ruleFields({ rule, use, effect, findings, silent, workloads, idlePeers, slack }: CoveredRule) {
  const { matched, decided, failed, unknown, peers } = use;
  const own = new Map(rule.rules.flatMap((each) => (each.peers === "any" ? [] : each.peers)).map(({ ref }) => [ref.path, ref]));
  return {
    ...ruleRef(rule),
    action: rule.action,
    hits: decided.hits,
    connections: decided.connections,
    firstSeen: decided.firstSeen ?? null,
    lastSeen: decided.lastSeen ?? null,
    matched: matched.hits,
    failed,
    unknown,
    findings,
    peers: [...own].map(([path, ref]) => ({
      rule: path,
      ...placeOf(ref),
      hits: peers.get(path)?.hits ?? 0,
      connections: peers.get(path)?.connections ?? 0,
      firstSeen: peers.get(path)?.firstSeen ?? null,
      lastSeen: peers.get(path)?.lastSeen ?? null,
      ...(idlePeers.some((peer) => peer.ref.path === path)
        ? { matchesNothing: true, ...nearOf(idlePeers.find((peer) => peer.ref.path === path)?.near) }
        : {}),
    })),
    selected: workloads.length,
    silent: silent.map(({ namespace, workload }) => `${namespace}/${shortWorkload(workload)}`),
    ...(effect.kind === "redundant"
      ? {
          redundant: {
            coveredBy: effect.cover.rules.map(ruleRef),
            deniedBy: effect.cover.closedBy.map(({ ref }) => refOf(ref)),
            withoutRule: effect.cover.isOpen,
          },
        }
      : {}),
    ...(effect.kind === "idle" ? { matchesNothing: effect.lacks } : {}),
    ...(slack === undefined
      ? {}
      : {
          unused: {
            ports: slack.ports,
            peers: slack.peers,
            width: slack.width,
            ...(slack.tighter === undefined ? {} : { tighter: slack.tighter }),
            ...(slack.because === undefined ? {} : { because: slack.because }),
          },
        }),
  };
}

function nearOf(near: string | undefined) {
  return near === undefined ? {} : { near };
}

function* workloadTexts({ workloads }: CoverageResult): Generator<string> {
  for (const { namespace, workload, hostNetwork, isolated, hadTraffic } of workloads)
    yield safeJson({ namespace, workload, hostNetwork, isolated, hadTraffic });
}
