import { parseAddress } from "../net/address.ts";
import { groupOf, isPolicyObject, textAt, valueAt } from "./cni.ts";
import {
  type Fields,
  fields,
  flag,
  type Keep,
  list,
  listOfParts,
  number,
  someOf,
  standIn,
  text,
  textMap,
  textOrNumber,
  texts,
} from "./keep.ts";
import { isMapping, type ManifestObject } from "./manifest.ts";

/*
 * Cuts objects down to what this program reads, so that a saved snapshot holds no Secrets, environment values, commands, volumes or
 * annotations. An allow-list throughout: a field that is not named here is left out. Whoever reads a further field must name it here;
 * the tests hold `readCluster` of whole objects against that of cut ones.
 */

/** Annotations whose addresses are read (cni.ts: TUNNEL_ANNOTATION and ovnNodeSubnets); nothing else of them is kept. */
const ADDRESS_ANNOTATION =
  /^(projectcalico\.org\/(IPv[46](Address|IPIPTunnelAddr|VXLANTunnelAddr|WireguardInterfaceAddr)|VXLANTunnelAddrV6|WireguardV6InterfaceAddr|IPv6WireguardInterfaceAddr)|(network\.cilium\.io\/|io\.cilium\.network\.)ipv[46]-cilium-host|k8s\.ovn\.org\/(node-subnets|node-gateway-router-lrp-ifaddrs?|host-(cidrs|addresses)))$/;

/** Annotations whose presence alone tells of a plugin (cni.ts: findSigns): their values go. */
const SIGNS_ON = {
  Node: /^(projectcalico\.org|node\.antrea\.io|k8s\.ovn\.org)\//,
  Pod: /^k8s\.ovn\.org\/pod-networks/,
} as const;

/** The addresses and prefixes in a text, whatever it is written in. */
function addressesIn(written: string): string {
  const found = written.match(/[0-9a-fA-F.:]{2,}(?:\/\d+)?/g) ?? [];
  return found.filter((each) => parseAddress(each.replace(/\/.*/, "")) !== undefined).join(",");
}

function annotationsOf(kind: keyof typeof SIGNS_ON): Keep {
  return (value) => {
    if (!isMapping(value)) return standIn(value);
    const kept = Object.entries(value).flatMap(([key, each]) => {
      const isRead = kind === "Node" && ADDRESS_ANNOTATION.test(key);
      if (!isRead && !SIGNS_ON[kind].test(key)) return [];
      return [[key, typeof each !== "string" ? (standIn(each) ?? null) : isRead ? addressesIn(each) : ""] as const];
    });
    return kept.length === 0 ? undefined : Object.fromEntries(kept);
  };
}

const METADATA = {
  ...{ name: text, namespace: text, uid: text, resourceVersion: text, labels: textMap, creationTimestamp: text, deletionTimestamp: text },
  ownerReferences: list(fields({ apiVersion: text, kind: text, name: text, uid: text, controller: flag })),
};
const metadata = fields(METADATA);
const HEAD = { apiVersion: text, kind: text };
const object = (shape: Readonly<Record<string, Keep>> = {}): Keep => fields({ ...HEAD, metadata, ...shape });

/** Names that agents of network plugins go by (cni.ts: ENGINES and AGENT_NAMES): their versions and settings are read. */
const AGENTS = new Set(["cilium", "anetd", "calico-node", "canal", "antrea-agent", "ovnkube-node", "aws-node", "kube-router"]);

/** Settings that agents are asked for (cni.ts: settingsOf). */
const AGENT_ENVIRONMENT = new Set(["FELIX_DEFAULTENDPOINTTOHOSTACTION", "NETWORK_POLICY_ENFORCING_MODE"]);

const POLICY_FLAG = "--enable-network-policy=true";
const PREFIXES = /[0-9a-fA-F.:]{2,}\/\d+/g;

function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = valueAt(value, ...path);
  return Array.isArray(found) ? found : [];
}

/** Reports whether a Pod or DaemonSet is a plugin's agent (cni.ts: agentNames). */
function isAgent(value: Fields): boolean {
  const owners = listAt(value, "metadata", "ownerReferences").filter((owner) => valueAt(owner, "kind") === "DaemonSet");
  const name = textAt(value, "metadata", "name");
  return [
    textAt(value, "metadata", "labels", "k8s-app"),
    value.kind === "DaemonSet" ? name : name.replace(/-[a-z0-9]{5}$/, ""),
    ...owners.map((owner) => textAt(owner, "name")),
  ].some((each) => AGENTS.has(each));
}

function argumentsOf(container: unknown): readonly string[] {
  return ["command", "args"].flatMap((key) => listAt(container, key)).filter((each) => typeof each === "string");
}

/** The prefixes that a flag or a line gives, as one text; undefined where there are none. */
function prefixesIn(found: RegExpExecArray | null): string | undefined {
  return found?.[1].match(PREFIXES)?.join(",");
}

/** The flags with the cluster's ranges, of the pods of which they are read (cni.ts: rangesOf): of all containers, the first counts. */
function rangeFlags(value: Fields, containers: readonly unknown[]): readonly string[] {
  if (value.kind !== "Pod" || !/^kube-(controller-manager|apiserver)(-|$)/.test(textAt(value, "metadata", "name"))) return [];
  const line = containers.flatMap(argumentsOf).join(" ");
  const ranges = [
    ["--cluster-cidr", prefixesIn(/--cluster-cidr[= ](\S+)/.exec(line))],
    ["--service-cluster-ip-range", prefixesIn(/--service-cluster-ip-range[= ](\S+)/.exec(line))],
  ];
  return ranges.flatMap(([name, prefixes]) => (prefixes === undefined ? [] : [`${name}=${prefixes}`]));
}

/** What tells of plugins in the containers of a Pod or DaemonSet: a few flags, and of agents the version and a few settings. */
function signsOf(value: Fields, containers: readonly unknown[]): readonly Fields[] {
  const flags = rangeFlags(value, containers);
  const asksAgent = isAgent(value);
  return containers.map((container, index) => {
    const args = [...(index === 0 ? flags : []), ...(argumentsOf(container).includes(POLICY_FLAG) ? [POLICY_FLAG] : [])];
    const image = asksAgent ? imageOf(textAt(container, "image")) : undefined;
    const env = asksAgent ? environmentOf(container) : [];
    return { ...(image ? { image } : {}), ...(args.length > 0 ? { args } : {}), ...(env.length > 0 ? { env } : {}) };
  });
}

/** The last part of an image's name with its version; undefined without one. */
function imageOf(image: string): string | undefined {
  const found = /:v?(\d+\.\d+[^@]*)/.exec(image);
  return found ? `${image.slice(0, found.index).replace(/^.*[/:]/s, "")}${found[0]}` : undefined;
}

function environmentOf(container: unknown): readonly Fields[] {
  return listAt(container, "env").flatMap((entry) => {
    const name = textAt(entry, "name");
    if (!AGENT_ENVIRONMENT.has(name)) return [];
    const value = valueAt(entry, "value");
    return [typeof value === "string" ? { name, value } : { name }];
  });
}

const ports = list(fields({ name: text, containerPort: number, protocol: text }));

/** What is read of the spec of a Pod or of a pod template. `signs`: what tells of plugins in each container. */
function keepPodSpec(signs: readonly Fields[]): Keep {
  const container = (each: unknown, index: number) => {
    const kept = fields({ ports })(each);
    return isMapping(each) ? { ...signs[index], ...(kept as Fields | undefined) } : kept;
  };
  const initContainer: Keep = (each) =>
    fields({ restartPolicy: text, ...(valueAt(each, "restartPolicy") === "Always" ? { ports } : {}) })(each);
  return fields({
    ...{ nodeName: text, hostNetwork: flag, serviceAccountName: text, serviceAccount: text },
    containers: listOfParts(container),
    initContainers: listOfParts(initContainer),
  });
}

function keepPod(value: Fields): unknown {
  const signs = signsOf(value, listAt(value, "spec", "containers"));
  const ready: Keep = (each) => (isMapping(each) && typeof each.type === "string" && each.type !== "Ready" ? undefined : condition(each));
  const condition = fields({ type: text, status: text });
  const ended = someOf(fields({ state: fields({ terminated: fields({ finishedAt: text }) }) }));
  const addresses = list(fields({ ip: text }));
  return fields({
    ...HEAD,
    metadata: fields({ ...METADATA, annotations: annotationsOf("Pod") }),
    spec: keepPodSpec(signs),
    status: fields({
      ...{ phase: text, startTime: text, podIP: text, podIPs: addresses, hostIP: text, hostIPs: addresses },
      conditions: someOf(ready),
      containerStatuses: ended,
      initContainerStatuses: ended,
    }),
  })(value);
}

/** A pod template, of which what pods are made with is read. One of which nothing is left stays, as readers refuse a missing one. */
function keepTemplate(signs: readonly Fields[] = []): Keep {
  const keep = fields({ metadata: fields({ labels: textMap }), spec: keepPodSpec(signs) });
  return (value) => keep(value) ?? (isMapping(value) ? {} : undefined);
}

const expressions = list(fields({ key: text, operator: text, values: texts }));
const selector = fields({ matchLabels: textMap, matchExpressions: expressions });

const template = keepTemplate();
const workload = object({ spec: fields({ selector, template }) });

function keepDaemonSet(value: Fields): unknown {
  const signs = signsOf(value, listAt(value, "spec", "template", "spec", "containers"));
  return object({ spec: fields({ selector, template: keepTemplate(signs) }) })(value);
}

/** The ConfigMaps that are read, by name, with what is read of them (cni.ts: settingsOf, findSigns and rangesOf). */
const CONFIG_MAPS: Readonly<Record<string, (data: unknown) => Fields>> = {
  "cilium-config": (data) =>
    Object.fromEntries(CILIUM_SETTINGS.flatMap((key) => (textAt(data, key) === "" ? [] : [[key, textAt(data, key)] as const]))),
  "antrea-config": (data) => {
    const written = isMapping(data) ? Object.values(data).filter((each) => typeof each === "string") : [];
    const gates = written.flatMap((each) => [...each.matchAll(/^\s*(\w+NetworkPolicy):\s*(true|false)\b/gm)]);
    return gates.length === 0 ? {} : { "antrea-agent.conf": gates.map(([, gate, on]) => `${gate}: ${on}\n`).join("") };
  },
  "amazon-vpc-cni": (data) => {
    const key = "enable-network-policy-controller";
    return textAt(data, key) === "true" ? { [key]: "true" } : {};
  },
  "kubeadm-config": (data) => {
    const configuration = textAt(data, "ClusterConfiguration");
    const subnets = [
      ["podSubnet", prefixesIn(/^\s*podSubnet:\s*(.+)$/m.exec(configuration))],
      ["serviceSubnet", prefixesIn(/^\s*serviceSubnet:\s*(.+)$/m.exec(configuration))],
    ].flatMap(([key, prefixes]) => (prefixes === undefined ? [] : [`${key}: ${prefixes}\n`]));
    return subnets.length === 0 ? {} : { ClusterConfiguration: subnets.join("") };
  },
};

const CILIUM_SETTINGS = [
  ...["policy-cidr-match-mode", "enable-policy", "enable-k8s-networkpolicy", "enable-k8s-cluster-network-policy", "enable-sctp"],
  ...["allow-localhost", "allow-icmp-frag-needed"],
];

function keepConfigMap(value: Fields): unknown {
  const name = textAt(value, "metadata", "name");
  if (!Object.hasOwn(CONFIG_MAPS, name)) return undefined;
  const data = CONFIG_MAPS[name](value.data);
  return { ...(object()(value) as Fields), ...(Object.keys(data).length > 0 ? { data } : {}) };
}

const servicePort = fields({ name: text, port: number, protocol: text, nodePort: number, targetPort: textOrNumber });
const endpointPorts = list(fields({ name: text, port: number, protocol: text }));
const addressEntries = list(fields({ ip: text }));

function keepEndpointSlice(value: Fields): unknown {
  const endpoints = list(fields({ addresses: texts, conditions: fields({ ready: flag, serving: flag, terminating: flag }) }));
  // Addresses of the type FQDN are names of hosts, which are not read.
  return object({ addressType: text, ports: endpointPorts, ...(value.addressType === "FQDN" ? {} : { endpoints }) })(value);
}

/** Host names among a node's addresses are not read. */
const nodeAddress: Keep = (each) => {
  const address = valueAt(each, "address");
  return typeof address === "string" && parseAddress(address) === undefined ? undefined : fields({ address: text })(each);
};

/** What is kept of each kind that is read, whatever its group: some readers look at the kind alone. */
const KINDS: Readonly<Record<string, (value: Fields) => unknown>> = {
  Namespace: object(),
  ServiceAccount: object(),
  Pod: keepPod,
  Node: fields({
    ...HEAD,
    metadata: fields({ ...METADATA, annotations: annotationsOf("Node") }),
    spec: fields({ podCIDR: text, podCIDRs: texts }),
    status: fields({ addresses: someOf(nodeAddress), nodeInfo: fields({ kubeletVersion: text }) }),
  }),
  CiliumNode: object({ spec: fields({ addresses: addressEntries, ipam: fields({ podCIDRs: texts }) }) }),
  Service: object({
    spec: fields({
      ...{ type: text, clusterIP: text, clusterIPs: texts, externalIPs: texts, loadBalancerIP: text },
      ...{ ports: list(servicePort), selector: textMap, externalTrafficPolicy: text, publishNotReadyAddresses: flag },
    }),
    status: fields({ loadBalancer: fields({ ingress: addressEntries }) }),
  }),
  EndpointSlice: keepEndpointSlice,
  Endpoints: object({ subsets: list(fields({ addresses: addressEntries, notReadyAddresses: addressEntries, ports: endpointPorts })) }),
  Deployment: workload,
  StatefulSet: workload,
  ReplicaSet: workload,
  Rollout: object({ spec: fields({ selector, template, workloadRef: fields({ kind: text, name: text }) }) }),
  DaemonSet: keepDaemonSet,
  Job: object({ spec: fields({ manualSelector: flag, template }) }),
  CronJob: object({ spec: fields({ jobTemplate: fields({ spec: fields({ template }) }) }) }),
  ReplicationController: object({ spec: fields({ template }) }),
  ConfigMap: keepConfigMap,
  ServiceCIDR: object({ spec: fields({ cidrs: texts }) }),
  IPPool: object({ spec: fields({ cidr: text }) }),
  FelixConfiguration: object({ spec: fields({ defaultEndpointToHostAction: text }) }),
};

/** Groups of which any object, or the definition of any kind, is told of where no agent is found (cni.ts: servedGroups). */
const VENDOR_GROUPS = new Set(["cilium.io", "projectcalico.org", "crd.projectcalico.org", "crd.antrea.io", "networking.k8s.aws"]);

const definition = object({ spec: fields({ group: text }) });

const MAX_DEPTH = 64; // deeper than any field of a policy lies

function copy(value: unknown, depth = 0): unknown {
  if (depth > MAX_DEPTH) return standIn(value);
  if (Array.isArray(value)) return value.map((item) => (item === undefined ? null : copy(item, depth + 1)));
  if (!isMapping(value)) return value;
  const kept = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(kept.map(([key, each]) => [key, copy(each, depth + 1)]));
}

const CALICO_METADATA = "projectcalico.org/metadata";

/** Metadata of a policy that its readers know and do not look at (policy/metadata.ts). */
const UNREAD_METADATA = new Set([
  ...["generateName", "annotations", "finalizers", "managedFields", "generation", "deletionGracePeriodSeconds", "selfLink"],
]);

/** A policy's readers refuse fields that they do not know by name: such a field stays, with a stand-in for what it holds. */
function keepPolicy(value: Fields): Fields {
  const kept = Object.entries(value).flatMap(([key, each]) => {
    if (key === "status" || each === undefined) return [];
    if (key === "metadata") return [[key, policyMetadata(each, textAt(value, "apiVersion"))] as const];
    return [[key, ["apiVersion", "kind", "spec", "specs"].includes(key) ? copy(each) : (standIn(each) ?? null)] as const];
  });
  const policy = Object.fromEntries(kept);
  if (!textAt(value, "apiVersion").startsWith("cilium.io/")) return policy;
  if (isMapping(policy.spec)) policy.spec = withoutRemarks(policy.spec);
  if (Array.isArray(policy.specs)) policy.specs = policy.specs.map((spec) => (isMapping(spec) ? withoutRemarks(spec) : spec));
  return policy;
}

/** What people write about a Cilium rule decides nothing (Cilium API: Rule). */
function withoutRemarks(spec: Fields): Fields {
  const remarks = ["description", "labels"].filter((key) => Object.hasOwn(spec, key));
  return { ...spec, ...Object.fromEntries(remarks.map((key) => [key, standIn(spec[key]) ?? null])) };
}

function policyMetadata(value: unknown, apiVersion: string): unknown {
  if (!isMapping(value)) return standIn(value) ?? null;
  const unknown = Object.entries(value).filter(([key]) => !Object.hasOwn(METADATA, key) && !UNREAD_METADATA.has(key));
  const kept = apiVersion.startsWith("crd.") ? valueAt(value.annotations, CALICO_METADATA) : undefined;
  return {
    ...(metadata(value) as Fields | undefined),
    ...(typeof kept === "string" ? { annotations: { [CALICO_METADATA]: calicoMetadata(kept) } } : {}),
    ...Object.fromEntries(unknown.map(([key, each]) => [key, standIn(each) ?? null])),
  };
}

/** Name and labels of the metadata that libcalico-go keeps as JSON in an annotation (policy/calico/object.ts); "" where it is none. */
function calicoMetadata(json: string): string {
  try {
    const read: unknown = JSON.parse(json);
    if (!isMapping(read)) return "";
    const labels = isMapping(read.labels) ? { labels: textMap(read.labels) } : {};
    return JSON.stringify({ ...(typeof read.name === "string" ? { name: read.name } : {}), ...labels });
  } catch {
    return "";
  }
}

/**
 * Returns a new object with what this program reads of a Kubernetes object: names, labels, owners, addresses, ports, times, selectors,
 * pod templates, what tells of network plugins, and policies whole but for status and annotations. Undefined for kinds that are not read, Secrets
 * among them. What `readCluster` makes of cut objects equals what it makes of the whole ones, of malformed ones too as far as their
 * annotations are texts. Never throws; cutting twice changes nothing.
 */
export function sanitizeObject(value: Record<string, unknown>): Record<string, unknown> | undefined {
  const { kind } = value;
  if (typeof kind !== "string" || kind === "Secret") return undefined;
  const whole: ManifestObject = { value, file: "", positionOf: () => ({ line: 1, column: 1 }) };
  if (isPolicyObject(whole)) return keepPolicy(value) as Record<string, unknown>;
  if (Object.hasOwn(KINDS, kind)) return KINDS[kind](value) as Record<string, unknown> | undefined;
  if (VENDOR_GROUPS.has(textAt(value, "spec", "group"))) return definition(value) as Record<string, unknown>;
  return VENDOR_GROUPS.has(groupOf(whole)) ? (object()(value) as Record<string, unknown>) : undefined;
}
