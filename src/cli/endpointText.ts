import type { Node, Pod, Service } from "../cluster/objects.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { livingPods } from "../cluster/workloads.ts";
import { labelOf } from "../generate/workloads.ts";
import { type Address, formatAddress, parseAddress } from "../net/address.ts";
import { nearest } from "../policy/objectReader.ts";
import { listed } from "../report/text.ts";
import { workloadKind } from "./chooseWorkloads.ts";
import { UsageError } from "./errors.ts";

/** An end of a connection as a user names it. */
export type NamedEnd = { readonly label: string } & (
  | { readonly kind: "pods"; readonly pods: readonly Pod[] }
  | { readonly kind: "service"; readonly service: Service }
  | { readonly kind: "node"; readonly node: Node }
  | { readonly kind: "address"; readonly address: Address }
  /** An outside address that no rule names. */
  | { readonly kind: "external" }
);

type NamedCluster = Pick<Cluster, "pods" | "templatePods" | "services" | "nodes">;

const PODS = new Set(["po", "pod", "pods"]);
const SERVICES = new Set(["svc", "service", "services"]);
const NODES = new Set(["no", "node", "nodes"]);
const KIND_WORDS = "deploy, sts, ds, job, cronjob, rs, pod, svc, node";

/**
 * Reads an endpoint: `shop/deploy/web`, `deploy/web` and `web` in `namespace`, `shop/web-7d4b9-abcde`, `svc/orders`, `node/worker-1`, an
 * IP address, or `external`. A kind before a namespace of that name: `shop/pod/web` is always plain. Throws a UsageError that says what
 * there is.
 */
export function findEndpoint(text: string, namespace: string, cluster: NamedCluster): NamedEnd {
  if (text === "external") return { kind: "external", label: "external" };
  const address = parseAddress(text);
  if (address !== undefined) return { kind: "address", address, label: formatAddress(address) };
  const [first, second, ...rest] = text.split("/");
  if (first === "" || second === "" || (rest.length > 0 && rest.join("/") === ""))
    throw new UsageError(
      `\`${text}\` is no endpoint: write deploy/web, shop/deploy/web, shop/web-7d4b9-abcde, svc/orders, an IP address or external`,
    );
  if (second === undefined) return findNamed(text, namespace, undefined, first, cluster);
  if (isKind(first)) return findNamed(text, namespace, first, [second, ...rest].join("/"), cluster);
  if (rest.length === 0) return findNamed(text, first, undefined, second, cluster);
  if (isKind(second) || cluster.pods.some(({ workload }) => workload.kind.toLowerCase() === second.toLowerCase()))
    return findNamed(text, first, second, rest.join("/"), cluster);
  throw new UsageError(`\`${text}\`: \`${second}\` is no kind of endpoint (${KIND_WORDS})`);
}

function plainKind(word: string): string {
  return word.toLowerCase().replace(/\..*/, "");
}

function isKind(word: string): boolean {
  const plain = plainKind(word);
  return PODS.has(plain) || SERVICES.has(plain) || NODES.has(plain) || workloadKind(word) !== undefined;
}

function findNamed(text: string, namespace: string, kind: string | undefined, name: string, cluster: NamedCluster): NamedEnd {
  const plain = kind === undefined ? undefined : plainKind(kind);
  if (plain !== undefined && NODES.has(plain)) return findNode(text, name, cluster.nodes);
  if (plain !== undefined && SERVICES.has(plain)) return findService(text, namespace, name, cluster.services);
  const own = livingPods([...cluster.pods, ...cluster.templatePods]).filter((pod) => pod.namespace === namespace);
  const isPodWord = plain === undefined || PODS.has(plain);
  const pods = isPodWord ? own.filter((pod) => pod.name === name) : [];
  const wanted = kind === undefined || isPodWord ? undefined : (workloadKind(kind) ?? kind);
  const members = own.filter(({ workload }) => {
    if (workload.name !== name) return false;
    // `pods/…` are groups that labels made; a bare pod is its own workload.
    if (plain !== undefined && isPodWord) return workload.kind === "Pods" || workload.kind === "Pod";
    return wanted === undefined || workload.kind.toLowerCase() === wanted.toLowerCase();
  });
  const workloads = Map.groupBy(members, ({ workload }) => workload.kind);
  if (pods.length > 0 && members.every((pod) => pods.includes(pod))) return podsEnd(pods, `${namespace}/pod/${name}`);
  if (pods.length > 0 || workloads.size > 1) {
    const labels = [
      ...(pods.length > 0 ? [`${namespace}/pod/${name}`] : []),
      ...[...workloads.values()].map(([pod]) => labelOf(pod.workload)),
    ];
    throw new UsageError(`\`${text}\` is ambiguous: ${listed([...new Set(labels)].sort())}`);
  }
  const [found] = workloads.values();
  if (found !== undefined) return podsEnd(found, labelOf(found[0].workload));
  throw new UsageError(whyNot(text, namespace, name, cluster));
}

function podsEnd(pods: readonly Pod[], label: string): NamedEnd {
  return { kind: "pods", pods: pods.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)), label };
}

function findNode(text: string, name: string, nodes: readonly Node[]): NamedEnd {
  const node = nodes.find((each) => each.name === name);
  if (node !== undefined) return { kind: "node", node, label: `node/${name}` };
  throw new UsageError(
    `no node \`${text}\`${instead(
      name,
      nodes.map((each) => each.name),
      "nodes",
    )}`,
  );
}

function findService(text: string, namespace: string, name: string, services: readonly Service[]): NamedEnd {
  const service = services.find((each) => each.namespace === namespace && each.name === name);
  if (service !== undefined) return { kind: "service", service, label: `${namespace}/svc/${name}` };
  const own = services.filter((each) => each.namespace === namespace).map((each) => each.name);
  const elsewhere = services.filter((each) => each.name === name).map((each) => `${each.namespace}/svc/${name}`);
  if (own.length === 0 || elsewhere.length > 0)
    throw new UsageError(
      `no Service \`${text}\` in namespace \`${namespace}\`${elsewhere.length > 0 ? `; there is ${listed(elsewhere)}` : ", which has none: give -n"}`,
    );
  throw new UsageError(`no Service \`${text}\` in namespace \`${namespace}\`${instead(name, own, "Services")}`);
}

function instead(name: string, candidates: readonly string[], what: string): string {
  const near = nearest(name, candidates);
  if (near !== undefined) return `; did you mean \`${near}\`?`;
  return candidates.length === 0 ? `: no ${what} are known` : `; there is ${listed(candidates.toSorted())}`;
}

function whyNot(text: string, namespace: string, name: string, cluster: NamedCluster): string {
  const all = [...cluster.pods, ...cluster.templatePods];
  const labelled = (pods: readonly Pod[]) => [...new Set(pods.map(({ workload }) => labelOf(workload)))].sort();
  const alike = labelled(all.filter((pod) => pod.workload.name === name || pod.name === name));
  if (alike.length > 0) return `no \`${text}\`; there is ${listed(alike)}`;
  const own = all.filter((pod) => pod.namespace === namespace);
  if (own.length === 0) {
    const namespaces = [...new Set(all.map((pod) => pod.namespace))].sort();
    return `no \`${text}\`: no pod is known in namespace \`${namespace}\` (there are ${listed(namespaces)}): write NAMESPACE/KIND/NAME, or give -n`;
  }
  const near = nearest(name, [...own.map((pod) => pod.workload.name), ...own.map((pod) => pod.name)]);
  const nearPods = own.filter((pod) => pod.workload.name === near || pod.name === near);
  if (near !== undefined) return `no \`${text}\`; did you mean ${listed(labelled(nearPods))}?`;
  return `no \`${text}\` in namespace \`${namespace}\`; there is ${listed(labelled(own))}`;
}
