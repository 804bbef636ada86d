import type { Pod } from "../cluster/objects.ts";
import { matchesRequirement } from "../cluster/selector.ts";
import { shortWorkload } from "../cluster/workloads.ts";
import type { PodMatch } from "../policy/model.ts";
import { nearest } from "../policy/objectReader.ts";
import type { Evaluator } from "./evaluator.ts";
import { namespaceTruth } from "./expression.ts";
import { isNear } from "./nearlySelecting.ts";
import { describeLabels, describeRequirement } from "./ruleFaults.ts";

/**
 * Says in a clause what a selector that selects no pod most likely meant: the pod that misses it by one label which looks like a slip,
 * or the namespace that is not there. Undefined where nothing comes near.
 */
export function nearestSelected(
  { namespaces, pods: selector, where }: PodMatch,
  evaluator: Evaluator,
  pods: readonly Pod[],
): string | undefined {
  const own = pods.filter((pod) => !pod.hostNetwork && namespaceTruth(namespaces, evaluator.namespace(pod.namespace)) === true);
  if (own.length === 0) {
    if (!("name" in namespaces)) return "no namespace with a pod has the labels that it wants";
    const near = nearest(namespaces.name, [...new Set(pods.map(({ namespace }) => namespace))]);
    return `there is no pod in namespace ${namespaces.name}${near === undefined ? "" : `, but there are in ${near}`}`;
  }
  if (where !== undefined) return undefined;
  for (const pod of own) {
    const failed = selector.requirements.filter((requirement) => !matchesRequirement(requirement, pod.labels));
    if (failed.length !== 1 || !isNear(failed[0], pod.labels)) continue;
    const name = `${pod.namespace}/${shortWorkload(`${pod.workload.kind}/${pod.workload.name}`)}`;
    return `it wants ${describeRequirement(failed[0])}, ${name} has ${describeLabels(failed, pod.labels)}`;
  }
  return undefined;
}
