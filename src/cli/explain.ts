import { cautionsOf } from "../evaluate/cautions.ts";
import { EndpointResolver } from "../evaluate/endpoints.ts";
import { Evaluator, type World } from "../evaluate/evaluator.ts";
import { type Family, findOutside, type Outside } from "../evaluate/stands.ts";
import { AddressTable } from "../flow/addressTable.ts";
import { NameTable } from "../flow/names.ts";
import { LoggedParties } from "../flow/parties.ts";
import { Workloads } from "../generate/workloads.ts";
import type { PolicySet } from "../policy/model.ts";
import { loadRegexEngine } from "../policy/regex.ts";
import type { ExplainResult } from "../report/explanation.ts";
import { chooseProfile } from "./chooseProfile.ts";
import { findEndpoint, type NamedEnd } from "./endpointText.ts";
import { refuseTwoStdins, UsageError } from "./errors.ts";
import { casesOf, otherPortsOf, prefixesOf } from "./explainedCases.ts";
import { connectionsOf, type Setting } from "./explainedConnections.ts";
import { readNames } from "./names.ts";
import { type PolicyFlags, policiesInForce } from "./policies.ts";
import { parsePort } from "./portText.ts";
import { type ClusterFlags, isUnread, openCluster, refuseUnreadPolicies } from "./sources.ts";

export interface ExplainFlags extends ClusterFlags, Omit<PolicyFlags, "namespace"> {
  readonly source: string;
  readonly destination: string;
  readonly port: string | undefined;
  readonly dns: string | undefined;
  readonly policyMode: "overlay" | "replace";
  readonly cni: string;
  readonly staged: boolean;
}

/** `explain`: two named ends -> their pods -> connections -> judgements -> what each side says, and what would change it. */
export async function explain(flags: ExplainFlags): Promise<ExplainResult> {
  refuseTwoStdins({ "--snapshot": flags.snapshot, "--filename": flags.filename });
  const port = flags.port === undefined ? undefined : parsePort(flags.port);
  const { setting, cni, warnings, namespace } = await prepare(flags);
  const { cluster } = setting;
  const source = findEndpoint(flags.source, namespace, cluster);
  const destination = findEndpoint(flags.destination, namespace, cluster);
  refuseEnds(source, destination);
  const asked = connectionsOf(source, destination, port, setting);
  if (asked.length === 0) throw new UsageError(`\`${destination.label}\` leads nowhere: it has no port, or no backend that is known`);
  const cases = casesOf(asked, setting);
  return {
    source: source.label,
    destination: destination.label,
    cni,
    policies: setting.evaluator.policies.length,
    warnings: [...warnings, ...cautionsOf(setting.set, setting.evaluator, setting.world)],
    cases,
    otherPorts: port === undefined ? otherPortsOf(asked, setting) : [],
    prefixes: prefixesOf(source.kind === "external", asked, setting),
  };
}

async function prepare(flags: ExplainFlags) {
  const sources = await openCluster(flags);
  const { cluster, namespace } = sources;
  if (flags.policyMode === "overlay" || flags.filename.length === 0)
    refuseUnreadPolicies(sources, ", --snapshot FILE may hold them, and with -f --policy-mode=replace judges the given policies alone");
  const { candidates, existing, merged, judged: set, unevaluated } = await policiesInForce(flags, sources);
  const { profile, because, warnings } = chooseProfile(flags.cni, { guess: cluster.cni, formats: [] }, merged, unevaluated);
  // Changes may be policies of the plugin's own kinds.
  if (profile.name === "cilium" || profile.name === "calico") await loadRegexEngine();
  const names = new NameTable();
  if (flags.dns !== undefined) readNames(flags.dns, names);
  const world: World = { ...cluster, pods: [...cluster.pods, ...cluster.templatePods], names };
  const resolver = new EndpointResolver(cluster, new AddressTable(), names, new LoggedParties());
  const outsides = flags.source === "external" || flags.destination === "external" ? outsidesOf(set, resolver, names) : undefined;
  const workloads = new Workloads(world.pods, cluster.workloadSelectors);
  const setting = {
    cluster,
    set,
    world,
    evaluator: new Evaluator(set, world, profile),
    resolver,
    outsides,
    workloads,
    isUnread: isUnread(sources, () => flags.policyMode === "overlay" || flags.filename.length === 0),
  } satisfies Setting;
  return {
    setting,
    namespace,
    cni: { name: profile.name, because, caveats: profile.caveats },
    warnings: [...cluster.warnings, ...warnings, ...existing.warnings, ...candidates.warnings],
  };
}

/** Finds what stands for the outside in each family. That no name leads there is known: it is nobody's. */
function outsidesOf(set: PolicySet, resolver: EndpointResolver, names: NameTable): Map<Family, Outside> {
  const found = new Map<Family, Outside>();
  for (const family of [4, 6] as const) {
    const outside = findOutside(set, resolver, family);
    if (outside === undefined) continue;
    found.set(family, outside);
    for (const address of [outside.address, ...outside.prefixes.map((each) => each.address)]) names.know(address);
  }
  return found;
}

function refuseEnds(source: NamedEnd, destination: NamedEnd): void {
  if (source.kind === "service") throw new UsageError(`\`${source.label}\`: a Service begins no connections; name the workload that does`);
  if (destination.kind === "service" && destination.service.type === "ExternalName")
    throw new UsageError(
      `\`${destination.label}\` is a name for another host (ExternalName); name the address that it leads to, or external`,
    );
  if (source.kind === "external" && destination.kind === "external")
    throw new UsageError("both ends are outside the cluster: no policy is about that");
}
