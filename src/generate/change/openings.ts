import type { Labels } from "../../cluster/objects.ts";
import { matchesRequirement, type Requirement } from "../../cluster/selector.ts";
import { matchPeers, matchPorts, nearTruth } from "../../evaluate/cell.ts";
import type { Clause, CompiledPolicy } from "../../evaluate/clauses.ts";
import { isNear, nearlySelecting, selectorField } from "../../evaluate/nearlySelecting.ts";
import { describePorts } from "../../evaluate/ruleFaults.ts";
import type { Peer, PodMatch, Policy, PortMatch, Rule } from "../../policy/model.ts";
import { type AskedSide, alsoSelected, peerLabel, peersFor, portsFor, selectsAny } from "./asked.ts";
import { alsoOpensNote, type Candidate, decidingRule, EVERY_PORT, narrowings, newRule, othersNote, outsideNotes } from "./candidates.ts";
import { newAllowances } from "./newPolicies.ts";
import { replaceRule, rulesIn, withRules } from "./policyEdit.ts";

/** Returns edits that may let a connection through one side that denies it, the smallest first. */
export function openings(side: AskedSide): Candidate[] {
  const { decision } = side;
  const found = decision.reason === "rule-deny" ? againstDenial(side) : [...corrections(side), ...additions(side), ...newAllowances(side)];
  return found.sort((a, b) => a.cost - b.cost);
}

/** Policies with the clauses of one side that select it for certain and that the plugin asks. */
function asked({ evaluator, subject, direction }: AskedSide): CompiledPolicy[] {
  const number = evaluator.classify(subject);
  const { identity } = evaluator.party(number);
  return evaluator
    .policiesOf(number, direction)
    .filter(({ stage, subject: selection }) => stage >= 0 && evaluator.rules.identities.truthOf(selection, identity) === true);
}

/** What selectors that select nothing at all would do with the labels that are there. */
function corrections(side: AskedSide): Candidate[] {
  return [...subjectCorrections(side), ...peerCorrections(side)];
}

function subjectCorrections({ subject, direction, around, set }: AskedSide): Candidate[] {
  if (subject.type !== "pod") return [];
  const { labels } = subject.pod;
  return nearlySelecting(around.evaluator, subject.pod, direction).flatMap(({ policy, requirement, selectsNoPod }): Candidate[] => {
    const mended = mendedSelector(policy.subject, requirement, labels);
    if (!selectsNoPod || mended === undefined || !set.policies.includes(policy)) return [];
    const what = `let its ${selectorField(policy)} want ${requirement.key}=${labels[requirement.key]}: it selects no pod as it is`;
    return [{ cost: 0.6, edit: { before: policy, after: { ...policy, subject: mended }, what, notes: [] } }];
  });
}

function peerCorrections(side: AskedSide): Candidate[] {
  const { direction, peer } = side;
  if (peer.type !== "pod") return [];
  return asked(side).flatMap(({ policy }) =>
    rulesIn(policy, direction).flatMap((rule) => {
      if (rule.action !== "allow" || rule.peers === "any") return [];
      const { peers } = rule;
      return peers.flatMap((one): Candidate[] => {
        const mended = one.kind === "pods" ? mendedPeer(side.around, one.match, peer.pod.labels) : undefined;
        if (mended === undefined) return [];
        const changed = peers.map((each): Peer => (each === one ? { kind: "pods", match: mended.match, ref: one.ref } : each));
        const what = `let ${one.ref.path} want ${mended.text}: it selects no pod as it is`;
        const after = replaceRule(policy, direction, rule, { ...rule, peers: changed });
        return [{ cost: 0.5, edit: { before: policy, after, what, notes: [] } }];
      });
    }),
  );
}

/** Returns a selector that selects nothing with the one label corrected that keeps it from selecting these. */
function mendedPeer(
  { evaluator, world }: AskedSide["around"],
  match: PodMatch,
  labels: Labels,
): { match: PodMatch; text: string } | undefined {
  if (match.where !== undefined || selectsAny(match, evaluator, world)) return undefined;
  const failed = match.pods.requirements.filter((requirement) => !matchesRequirement(requirement, labels));
  if (failed.length !== 1 || !isNear(failed[0], labels)) return undefined;
  const mended = mendedSelector(match, failed[0], labels);
  return mended === undefined ? undefined : { match: mended, text: `${failed[0].key}=${labels[failed[0].key]}` };
}

function mendedSelector(match: PodMatch, wrong: Requirement, labels: Labels): PodMatch | undefined {
  if (!Object.hasOwn(labels, wrong.key)) return undefined;
  const mended: Requirement = { key: wrong.key, operator: "In", values: [labels[wrong.key]] };
  return { ...match, pods: { requirements: match.pods.requirements.map((each) => (each === wrong ? mended : each)) } };
}

/** What a policy that selects other workloads too opens for all of them; of whole namespaces a new policy of the workload's own is smaller. */
const FOR_OTHERS = 0.6;
const FOR_ALL = 1.2;

/** A port or a peer more in a rule, or a rule more in a policy. */
function additions(side: AskedSide): Candidate[] {
  const { subject, around, evaluator } = side;
  return asked(side)
    .filter(({ policy }) => ["networkpolicy", "cilium", "calico"].includes(policy.tier.kind))
    .flatMap((compiled, i) => {
      const { policy } = compiled;
      const others = alsoSelected(policy.subject, subject, around, evaluator);
      const isClosing = side.decision.isolatedBy.includes(policy);
      const isForAll = policy.subject.pods.requirements.length === 0 && policy.subject.where === undefined;
      const extra = (others.length === 0 ? 0 : isForAll ? FOR_ALL : FOR_OTHERS) + (isClosing ? 0 : 0.3) + i * 0.001;
      const own = [...inRules(side, compiled), ...ruleMore(side, policy)];
      return own.map(({ cost, edit }) => ({ cost: cost + extra, edit: { ...edit, notes: [...edit.notes, ...othersNote(others)] } }));
    });
}

function inRules(side: AskedSide, compiled: CompiledPolicy): Candidate[] {
  const { direction } = side;
  const raw = rulesIn(compiled.policy, direction);
  const found: Candidate[] = [];
  for (const clause of compiled.clauses) {
    const { rule } = clause;
    const hasConditions =
      rule.notPorts !== undefined || rule.sourcePorts !== undefined || rule.notSourcePorts !== undefined || rule.l7 !== undefined;
    if (rule.action !== "allow" || hasConditions || !raw.includes(rule)) continue;
    const { peers, ports, near } = truthsOf(side, clause);
    if (near !== true) continue;
    if (peers === true && ports === false) found.push(...portMore(side, compiled.policy, rule));
    else if (ports === true && peers === false) found.push(...peersMore(side, compiled.policy, rule));
  }
  return found;
}

function truthsOf(side: AskedSide, clause: Clause) {
  const { evaluator, subject, peer, destination } = side;
  const [subjectNumber, peerNumber] = [evaluator.classify(subject), evaluator.classify(peer)];
  return {
    peers: matchPeers(evaluator.rules, clause, evaluator.partyTo(subjectNumber, peerNumber)).truth,
    ports: matchPorts(evaluator.rules, clause, side, evaluator.party(evaluator.classify(destination))),
    near: nearTruth(evaluator.rules, clause, evaluator.party(subjectNumber)),
  };
}

function portMore(side: AskedSide, policy: Policy, rule: Rule): Candidate[] {
  if (rule.ports === "any") return [];
  const more = portsFor(side, policy);
  const ports: "any" | readonly PortMatch[] = more === "any" ? "any" : [...rule.ports, ...more];
  const what = more === "any" ? `take the ports off ${rule.ref.path}` : `add ${describePorts(more)} to ${rule.ref.path}`;
  const isForMany = rule.peers === "any" || rule.peers.length > 1;
  const notes = [
    ...(more === "any" ? [EVERY_PORT] : []),
    ...(isForMany ? [`the rule is for ${rule.peers === "any" ? "everybody" : "other peers too"}`] : []),
  ];
  const cost = 1 + (more === "any" ? 0.8 : 0) + (isForMany ? 0.1 : 0) - (more !== "any" && sharesProtocol(rule, more) ? 0.05 : 0);
  return [{ cost, edit: { before: policy, after: replaceRule(policy, side.direction, rule, { ...rule, ports }), what, notes } }];
}

function sharesProtocol({ ports }: Rule, more: readonly PortMatch[]): boolean {
  return ports !== "any" && ports.some(({ protocol }) => more.some((match) => match.protocol === protocol));
}

function peersMore(side: AskedSide, policy: Policy, rule: Rule): Candidate[] {
  const { peers, ports } = rule;
  if (peers === "any") return [];
  const width = ports === "any" ? 0.7 : ports.length > 1 ? 0.3 : 0;
  return peersFor(side, policy).map((term, i) => {
    const peer: Peer = { ...term, ref: rule.ref };
    return {
      cost: 1.5 + width + i * 0.01,
      edit: {
        before: policy,
        after: replaceRule(policy, side.direction, rule, { ...rule, peers: [...peers, peer] }),
        what: `add ${peerLabel(side)} to ${rule.ref.path}`,
        notes: [
          ...(ports === "any" ? [EVERY_PORT] : ports.length > 1 ? [`this opens ${describePorts(ports)} to it`] : []),
          ...outsideNotes(side, policy),
          ...alsoOpensNote(side, term),
        ],
      },
    };
  });
}

function ruleMore(side: AskedSide, policy: Policy): Candidate[] {
  const { direction } = side;
  const rules = rulesIn(policy, direction);
  return newRule(side, policy, "allow").map(({ rule, what, notes }, i) => ({
    cost: 2 + i * 0.01 + (rule.ports === "any" ? 0.1 : 0),
    edit: { before: policy, after: withRules(policy, direction, [...rules, rule]), what: `add an ${direction} rule that ${what}`, notes },
  }));
}

/** A rule denies: it is made narrower, or another is put in front of it, or it goes. */
function againstDenial(side: AskedSide): Candidate[] {
  const found = decidingRule(side);
  if (found === undefined) return [];
  const { policy, rule } = found;
  const { direction } = side;
  const isOrdered = policy.tier.kind === "calico" || policy.tier.kind === "admin" || policy.tier.kind === "baseline";
  const candidates = narrowings(side, policy, rule, true);
  if (isOrdered) {
    const actions = policy.tier.kind === "admin" ? (["pass", "allow"] as const) : (["allow"] as const);
    actions.forEach((action, n) => {
      newRule(side, policy, action).forEach(({ rule: front, what, notes }, i) =>
        candidates.push({
          cost: 1.5 + n * 0.1 + i * 0.01,
          edit: {
            before: policy,
            after: replaceRule(policy, direction, rule, front, rule),
            what: `put a rule that ${what} in front of ${rule.ref.path}`,
            notes,
          },
        }),
      );
    });
  }
  return candidates;
}
