import type { LabelSelector } from "../cluster/selector.ts";
import { type Entity, type Policy, type PolicySet, policyTitle } from "../policy/model.ts";
import type { Evaluator, World } from "./evaluator.ts";
import { dialectOf, peersOf } from "./honoured.ts";

/** Says what of a policy set does not mean what it seems to, under the plugin and in the world that it is judged in; a line each. */
export function cautionsOf(set: PolicySet, evaluator: Evaluator, world: World): string[] {
  return [
    ...evaluator.ignored.map((policy) => `${titleOf(policy)} is ignored: ${evaluator.profile.name} ${whyIgnored(policy, evaluator)}`),
    ...assumedCautions(set, evaluator),
    ...stagedCautions(set),
    ...priorityCautions(set),
    ...tierCautions(set, evaluator),
    ...ciliumCautions(set, evaluator),
    ...referenceCautions(set, world),
  ];
}

function titleOf({ ref }: Policy): string {
  const place = ref.file === undefined ? "" : ` (${ref.file.replace(/^.*\//, "")}:${ref.line})`;
  return `${policyTitle(ref)}${place}`;
}

function whyIgnored(policy: Policy, { profile }: Evaluator): string {
  if (profile.name === "ovn-kubernetes" && profile.dialects.includes(dialectOf(policy))) return "refuses priorities above 99";
  if (profile.dialects.includes(dialectOf(policy))) return "refuses a policy with nodes peers while enable-node-selector-labels is off";
  return `does not honour ${policy.ref.kind} of ${policy.ref.apiVersion.replace(/\/.*/, "")}`;
}

/** Both kinds are off by default in the plugins that need switching on. */
function assumedCautions({ policies }: PolicySet, { profile, ignored }: Evaluator): string[] {
  const kinds = new Set(
    policies.filter((policy) => profile.assumed.includes(dialectOf(policy)) && !ignored.includes(policy)).map(({ ref }) => ref.kind),
  );
  return [...kinds].map(
    (kind) => `${kind} is taken to be switched on in ${profile.name}, where it is off by default: its configuration is not in the snapshot`,
  );
}

function stagedCautions({ policies }: PolicySet): string[] {
  const staged = policies.filter((policy) => policy.staged === "Set" || policy.staged === "Delete").length;
  if (staged === 0) return [];
  return [
    `${staged === 1 ? "one staged policy is" : `${staged} staged policies are`} not in force and not judged: --staged judges what promoting would do`,
  ];
}

/** The order of admin policies of one priority is undefined (API: AdminNetworkPolicySpec.priority). */
function priorityCautions({ policies }: PolicySet): string[] {
  const ordered = policies.filter(({ tier }) => tier.kind === "admin" || tier.kind === "baseline");
  const groups = Map.groupBy(ordered, ({ tier }) => `${tier.kind} ${"order" in tier ? tier.order : ""}`);
  return [...groups.values()]
    .filter((group) => group.length > 1)
    .map((group) => {
      const [first] = group;
      const priority = "order" in first.tier ? first.tier.order : 0;
      const names = group.map(({ ref }) => ref.name).sort();
      return `${names.join(" and ")} share priority ${priority} in tier ${first.tier.kind}: which one comes first is undefined (judged in the order of their names)`;
    });
}

function tierCautions({ policies, tiers }: PolicySet, { profile }: Evaluator): string[] {
  if (profile.name !== "calico") return [];
  const known = new Set(["default", "kube-admin", "kube-baseline", ...tiers.map(({ name }) => name)]);
  const missing = new Set(policies.flatMap(({ tier }) => (tier.kind === "calico" && !known.has(tier.name) ? [tier.name] : [])));
  return [...missing].map((name) => `there is no Tier ${name}: its policies are judged as if it had order 1000000 and defaultAction Deny`);
}

/** Cilium's policy map lets namespace peers with nothing but negative requirements match more than the API says (read in its source). */
function ciliumCautions({ policies }: PolicySet, { profile }: Evaluator): string[] {
  if (profile.name !== "cilium" || !profile.dialects.includes("clusternetworkpolicy")) return [];
  const isNegative = (selector: LabelSelector) =>
    selector.requirements.length > 0 && selector.requirements.every(({ operator }) => operator === "NotIn" || operator === "DoesNotExist");
  return policies
    .filter((policy) => dialectOf(policy) === "clusternetworkpolicy")
    .filter((policy) =>
      peersOf(policy).some(
        (term) =>
          term.kind === "pods" &&
          term.match.pods.requirements.length === 0 &&
          "selector" in term.match.namespaces &&
          isNegative(term.match.namespaces.selector),
      ),
    )
    .map(
      (policy) =>
        `${titleOf(policy)} names namespaces by what they are not: cilium 1.20 also lets that match the world, nodes and every pod; it is judged by the API's words`,
    );
}

function referenceCautions({ policies, sets }: PolicySet, { services = [], apiServers }: World): string[] {
  const cautions = new Set<string>();
  const names = new Set(sets.map(({ ref }) => ref.name));
  for (const policy of policies) {
    for (const term of peersOf(policy)) {
      if (term.kind === "sets" && "names" in term.match) {
        for (const name of term.match.names)
          if (!names.has(name)) cautions.add(`${titleOf(policy)} refers to ${name}, which is in no input: it matches nothing`);
      } else if (term.kind === "services" && "name" in term.match) {
        const { name, namespace } = term.match;
        if (!services.some((service) => service.name === name && (namespace === undefined || namespace === service.namespace)))
          cautions.add(
            `${titleOf(policy)} refers to Service ${namespace === undefined ? "" : `${namespace}/`}${name}, which the snapshot lacks: it matches nothing`,
          );
      } else if (term.kind === "entities" && apiServers === undefined && term.entities.includes("kube-apiserver" satisfies Entity))
        cautions.add(
          "where the API server is is not in the snapshot (endpoints of Service default/kubernetes): what kube-apiserver matches is open",
        );
    }
  }
  return [...cautions];
}
