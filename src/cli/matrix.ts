import type { Pod } from "../cluster/objects.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { shortWorkload } from "../cluster/workloads.ts";
import { BitSet } from "../evaluate/bitSet.ts";
import { cautionsOf } from "../evaluate/cautions.ts";
import { compileConnectivity } from "../evaluate/compare.ts";
import type { Connectivity, EndSet, Link } from "../evaluate/connectivity.ts";
import { DENY } from "../evaluate/portVerdicts.ts";
import { nearest } from "../policy/objectReader.ts";
import { LinkTable } from "../report/linkTable.ts";
import type { MatrixResult } from "../report/matrixResult.ts";
import { refuseTwoStdins, UsageError } from "./errors.ts";
import { gapsOf, openSet, type SetFlags } from "./openSets.ts";
import { collectAtOnce, expectLongWork, MANY_OBJECTS } from "./tiers.ts";

export interface MatrixFlags extends SetFlags {
  /** A workload whose connectivity alone is told. */
  readonly focus?: string | undefined;
}

/** A policy set over a cluster, or plain manifests -> all connectivity that it allows, ready to be reported. */
export async function matrix(flags: MatrixFlags): Promise<MatrixResult> {
  refuseTwoStdins({ "--snapshot": flags.snapshot, "--filename": flags.filename });
  collectAtOnce();
  expectLongWork(false);
  const { cluster, namespace, judged, cni, warnings } = await openSet(flags);
  const { set, world } = judged;
  const focused = flags.focus === undefined ? undefined : podsOf(flags.focus, cluster, namespace);
  const isFocus = (pod: Pod | undefined) => pod !== undefined && focused?.has(pod) === true;
  expectLongWork(world.pods.length + set.policies.length > MANY_OBJECTS);
  const connectivity = compileConnectivity([judged], { lookOf: ([pod]) => (isFocus(pod) ? "focus" : "") });
  const links = focused === undefined ? connectivity.allowed() : linksAbout(connectivity, isFocus);
  const [evaluator] = connectivity.evaluators;
  return {
    links: new LinkTable(connectivity, links, ([outcome]) => outcome !== DENY),
    policies: set.policies,
    focus: flags.focus,
    cni,
    warnings: [
      ...new Set([
        ...warnings,
        ...cautionsOf(set, evaluator, world),
        ...gapsOf(cluster, false),
        ...(set.policies.length === 0 ? ["no policy is in force: everything is allowed"] : []),
      ]),
    ],
  };
}

/** Returns the pods of a workload as people write it: `shop/deploy/web`, or `deploy/web` and `web` with the namespace given. */
function podsOf(text: string, { pods, templatePods }: Cluster, namespace: string): ReadonlySet<Pod> {
  const all = [...pods, ...templatePods].filter((pod) => !pod.hostNetwork);
  const names = ({ workload: { namespace: own, kind, name } }: Pod) => {
    const texts = [shortWorkload(`${kind}/${name}`), `${kind}/${name}`.toLowerCase(), name];
    return texts.flatMap((each) => [`${own}/${each}`, ...(own === namespace ? [each] : [])]);
  };
  const found = all.filter((pod) => names(pod).includes(text) || names(pod).includes(text.toLowerCase()));
  if (found.length > 0) return new Set(found);
  const known = [...new Set(all.map(({ workload: { namespace: own, kind, name } }) => `${own}/${shortWorkload(`${kind}/${name}`)}`))];
  const near = nearest(text, known) ?? known.find((each) => each.endsWith(`/${text}`));
  throw new UsageError(
    `--focus: no workload ${JSON.stringify(text)}${near === undefined ? `; write it as namespace/kind/name, such as ${known[0] ?? "shop/deploy/web"}` : `, did you mean \`${near}\`?`}`,
  );
}

/** Returns the links of pods that stand in classes of their own, each once. */
function linksAbout(connectivity: Connectivity, isFocus: (pod: Pod | undefined) => boolean): Link[] {
  const focus = new BitSet(connectivity.classes.length);
  connectivity.classes.forEach(({ members }, i) => {
    if (members.some(([pod]) => isFocus(pod))) focus.add(i);
  });
  const within = (set: EndSet, isIn: boolean): EndSet | undefined => {
    if (set.kind !== "pods") return isIn ? undefined : set;
    const classes = set.classes.copy();
    return (isIn ? classes.retainAll(focus) : classes.removeAll(focus)).isEmpty ? undefined : { kind: "pods", classes };
  };
  return connectivity.allowed().flatMap((link) => {
    const [from, others, to] = [within(link.sources, true), within(link.sources, false), within(link.destinations, true)];
    return [
      ...(from === undefined ? [] : [{ ...link, sources: from }]),
      ...(others === undefined || to === undefined ? [] : [{ ...link, sources: others, destinations: to }]),
    ];
  });
}
