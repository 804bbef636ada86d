import type { Policy, PolicyTier, RuleList } from "../../policy/model.ts";
import { type Dialect, makePolicy, type PolicyType } from "../dialect.ts";
import { type AskedSide, alsoSelected, labelFor, selectorFor } from "./asked.ts";
import { type Candidate, newRule, othersNote } from "./candidates.ts";

/** Names of objects are cut so that a number fits behind them (RFC 1123 label). */
const MOST_CHARACTERS = 58;

/** Where nothing that is there could be extended without opening other workloads too. */
const NEW_POLICY = 2.8;
const ISOLATION = 0.5;

/** Returns new policies that allow the packet, in the dialect of what isolates the side first. */
export function newAllowances(side: AskedSide): Candidate[] {
  return typesFor(side).flatMap((type, i) =>
    fresh(side, type, "allow", (rules) => ({ isolates: true, rules })).map(({ cost, edit }) => ({
      cost: cost + NEW_POLICY + i * 0.1,
      edit,
    })),
  );
}

/** Returns new policies that deny the packet: by a rule for it alone where the dialect has such, else by isolating the side. */
export function newDenials(side: AskedSide): Candidate[] {
  return typesFor(side).flatMap((type, i): Candidate[] => {
    // Isolating denies more than was asked: a rule for the connection alone comes first.
    if (type === "kubernetes") return isolation(side, ISOLATION + i * 0.1);
    const list = (rules: RuleList["rules"]): RuleList =>
      type === "cilium"
        ? { isolates: false, rules }
        : { isolates: true, rules: [...rules, { action: "allow", peers: "any", ports: "any", ref: { path: "" } }] };
    return fresh(side, type, "deny", list).map(({ cost, edit }) => ({ cost: cost + 1 + i * 0.1, edit }));
  });
}

/** Types of policies that the plugin enforces: the one that is in use there first. */
function typesFor({ around: { profile }, decision }: AskedSide): PolicyType[] {
  const known = (["kubernetes", "cilium", "calico"] as const).filter((type) =>
    profile.dialects.includes(type === "kubernetes" ? "networkpolicy" : type),
  );
  const used = new Set(decision.isolatedBy.map(({ tier }): PolicyType | undefined => TYPES[tier.kind]));
  const isUsed = (type: PolicyType) => Number(used.has(type));
  return known.toSorted((a, b) => isUsed(b) - isUsed(a));
}

const TYPES: Readonly<Partial<Record<PolicyTier["kind"], PolicyType>>> = {
  networkpolicy: "kubernetes",
  cilium: "cilium",
  calico: "calico",
};

function fresh(side: AskedSide, type: PolicyType, action: "allow" | "deny", list: (rules: RuleList["rules"]) => RuleList): Candidate[] {
  const empty = emptyPolicy(side, type, action);
  if (empty === undefined) return [];
  const { direction } = side;
  return newRule(side, empty, action).map(({ rule, what, notes }, i) => ({
    cost: i * 0.01,
    edit: {
      before: undefined,
      after: { ...empty, [direction]: list([rule]) },
      what: `a new policy that ${what}`,
      notes: [...notes, ...othersNote(alsoSelected(empty.subject, side.subject, side.around, side.evaluator))],
    },
  }));
}

function isolation(side: AskedSide, cost: number): Candidate[] {
  const { direction } = side;
  const empty = emptyPolicy(side, "kubernetes", "deny");
  if (empty === undefined) return [];
  const notes = [`this denies every other ${direction} of ${labelFor(side.subject, side.around.workloads)} too`];
  return [
    {
      cost: 1 + cost,
      edit: {
        before: undefined,
        after: { ...empty, [direction]: { isolates: true, rules: [] } },
        what: `a new policy that isolates it for ${direction}`,
        notes,
      },
    },
  ];
}

/** A policy that selects the side's pods and says nothing yet; undefined where no policy selects the side. */
function emptyPolicy(side: AskedSide, type: PolicyType, action: "allow" | "deny"): Policy | undefined {
  const { subject, peer, direction, around, set } = side;
  if (subject.type !== "pod" || subject.pod.hostNetwork) return undefined;
  const dialect: Dialect = { type, isClusterWide: false };
  const { pod } = subject;
  const who = around.workloads.of(pod)?.name ?? pod.name;
  const other = peer.type === "pod" ? (around.workloads.of(peer.pod)?.name ?? peer.pod.name) : peer.type === "node" ? "nodes" : "outside";
  const base = nameFrom(`${who}-${action}-${direction === "egress" ? "to" : "from"}-${other}`);
  const taken = new Set(set.policies.filter(({ ref }) => ref.namespace === pod.namespace).map(({ ref }) => ref.name));
  let name = base;
  for (let i = 2; taken.has(name); i++) name = `${base}-${i}`;
  return makePolicy(dialect, pod.namespace, name, selectorFor(pod, around.workloads), {});
}

function nameFrom(text: string): string {
  const plain = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+/, "")
    .slice(0, MOST_CHARACTERS)
    .replace(/-+$/, "");
  return plain === "" ? "policy" : plain;
}
