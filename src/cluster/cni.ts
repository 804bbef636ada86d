import { type Address, parseAddress } from "../net/address.ts";
import { type Prefix, parsePrefix } from "../net/prefix.ts";
import type { ManifestObject } from "./manifest.ts";
import { apiGroup } from "./objects.ts";

/** The network plugin that a snapshot shows. `settings` holds what it was told and changes verdicts, by the plugin's own names. */
export interface CniGuess {
  readonly name: "generic" | "cilium" | "calico" | "antrea" | "ovn-kubernetes" | "aws" | "kube-router";
  /** Completes "CNI calico (…)". */
  readonly because: string;
  readonly warnings: readonly string[];
  readonly settings: Readonly<Record<string, string>>;
}

/** One sign of a plugin: an agent that runs, or something that only agents leave behind. */
interface Sign {
  readonly name: CniGuess["name"];
  readonly because: string;
  readonly isAgent: boolean;
}

/** Agents by the name of their DaemonSet or their label k8s-app, policy engines in the order in which they are asked for. */
const ENGINES: readonly (readonly [CniGuess["name"], readonly string[]])[] = [
  ["cilium", ["cilium", "anetd"]],
  ["calico", ["calico-node", "canal"]],
  ["antrea", ["antrea-agent"]],
  ["ovn-kubernetes", ["ovnkube-node"]],
  ["aws", []],
  ["kube-router", ["kube-router"]],
];

const CILIUM_SETTINGS = [
  "policy-cidr-match-mode",
  "enable-policy",
  "enable-k8s-networkpolicy",
  "enable-k8s-cluster-network-policy",
  "enable-sctp",
  "allow-localhost",
  "allow-icmp-frag-needed",
];

/** Policies of every dialect, with the tiers, sets and groups that they name; one kind may belong to several API groups. */
const POLICY_KINDS = new Map<string, RegExp>([
  ["networking.k8s.io", /^NetworkPolicy$/],
  ["policy.networking.k8s.io", /Policy$/],
  ["cilium.io", /^Cilium(Clusterwide)?NetworkPolicy$|^CiliumCIDRGroup$/],
  ["projectcalico.org", /NetworkPolicy$|^Tier$|NetworkSet$/],
  ["crd.projectcalico.org", /NetworkPolicy$|^Tier$|NetworkSet$/],
  ["crd.antrea.io", /NetworkPolicy$|^Tier$|Group$/],
  ["k8s.ovn.org", /^EgressFirewall$/],
  ["networking.k8s.aws", /NetworkPolicy$/],
  ["kguardian.dev", /NetworkPolicy$/],
]);

/** Returns what lies at a path of an untrusted value, or undefined. */
export function valueAt(value: unknown, ...path: readonly (string | number)[]): unknown {
  let at: unknown = value;
  for (const key of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string | number, unknown>)[key];
  }
  return at;
}

/** Returns the text at a path of an untrusted value, "" where there is none. */
export function textAt(value: unknown, ...path: readonly (string | number)[]): string {
  const text = valueAt(value, ...path);
  return typeof text === "string" ? text : "";
}

function listAt(value: unknown, ...path: readonly (string | number)[]): readonly unknown[] {
  const list = valueAt(value, ...path);
  return Array.isArray(list) ? list : [];
}

function textsAt(value: unknown, ...path: readonly (string | number)[]): readonly string[] {
  return listAt(value, ...path).filter((text) => typeof text === "string");
}

function entriesAt(value: unknown, ...path: readonly string[]): readonly (readonly [string, unknown])[] {
  const map = valueAt(value, ...path);
  return typeof map === "object" && map !== null ? Object.entries(map) : [];
}

/** Returns the API group of an object, "" for the core group. */
export function groupOf(object: ManifestObject): string {
  return apiGroup(textAt(object.value, "apiVersion"));
}

/** Reports whether an object is a policy or something that policies refer to, and not a record that a plugin keeps for itself. */
export function isPolicyObject(object: ManifestObject): boolean {
  const kind = textAt(object.value, "kind");
  // Whatever is called a network policy is handed on, also of removed versions and misspelt groups: the reader refuses it loudly.
  return POLICY_KINDS.get(groupOf(object))?.test(kind) === true || /^networkpolic(y|ies)$/i.test(kind);
}

function titleOf({ value }: ManifestObject): string {
  const namespace = textAt(value, "metadata", "namespace");
  return `${textAt(value, "kind")} ${namespace && `${namespace}/`}${textAt(value, "metadata", "name")}`;
}

/** Returns the containers of a Pod or of a DaemonSet's template. */
function containersOf({ value }: ManifestObject): readonly unknown[] {
  return value.kind === "Pod" ? listAt(value, "spec", "containers") : listAt(value, "spec", "template", "spec", "containers");
}

function argumentsOf(container: unknown): readonly string[] {
  return [...textsAt(container, "command"), ...textsAt(container, "args")];
}

/** Returns the names that a DaemonSet or one of its pods goes by. */
function agentNames(object: ManifestObject): readonly string[] {
  const { value } = object;
  const names = [textAt(value, "metadata", "labels", "k8s-app")];
  if (value.kind === "DaemonSet") return [...names, textAt(value, "metadata", "name")];
  const owners = listAt(value, "metadata", "ownerReferences").filter((owner) => valueAt(owner, "kind") === "DaemonSet");
  return [...names, ...owners.map((owner) => textAt(owner, "name")), textAt(value, "metadata", "name").replace(/-[a-z0-9]{5}$/, "")];
}

function findSigns(objects: readonly ManifestObject[], agents: readonly ManifestObject[]): readonly Sign[] {
  const nodes = objects.filter(({ value }) => value.kind === "Node");
  const configMap = (name: string) => objects.find(({ value }) => value.kind === "ConfigMap" && textAt(value, "metadata", "name") === name);
  const annotated = (prefix: string, on = nodes) =>
    on.find(({ value }) => entriesAt(value, "metadata", "annotations").some(([key]) => key.startsWith(prefix)));
  const signs: Sign[] = [];
  const add = (name: Sign["name"], object: ManifestObject | undefined, isAgent: boolean, what = "") => {
    if (object) signs.push({ name, because: titleOf(object) + what, isAgent });
  };
  for (const [name, names] of ENGINES) {
    add(
      name,
      agents.find((agent) => agentNames(agent).some((agentName) => names.includes(agentName))),
      true,
    );
    if (name === "aws") add(name, agents.find(isAwsPolicyAgent), true, " with --enable-network-policy=true");
  }
  const onAks = nodes.find(({ value }) => textAt(value, "metadata", "labels", "kubernetes.azure.com/ebpf-dataplane") === "cilium");
  add("cilium", onAks, true, " has the label kubernetes.azure.com/ebpf-dataplane=cilium");
  add("cilium", configMap("cilium-config"), false);
  add("calico", annotated("projectcalico.org/"), false, " has annotations projectcalico.org/…");
  add("antrea", configMap("antrea-config"), false);
  add("antrea", annotated("node.antrea.io/"), false, " has annotations node.antrea.io/…");
  add("ovn-kubernetes", annotated("k8s.ovn.org/"), false, " has annotations k8s.ovn.org/…");
  const pods = objects.filter(({ value }) => value.kind === "Pod");
  add("ovn-kubernetes", annotated("k8s.ovn.org/pod-networks", pods), false, " has the annotation k8s.ovn.org/pod-networks");
  const awsConfig = configMap("amazon-vpc-cni");
  const awsOn = awsConfig && textAt(awsConfig.value, "data", "enable-network-policy-controller") === "true";
  add("aws", awsOn ? awsConfig : undefined, false, " has enable-network-policy-controller");
  add(
    "aws",
    objects.find((object) => object.value.kind === "PolicyEndpoint" && groupOf(object) === "networking.k8s.aws"),
    false,
  );
  const k3s = nodes.find(({ value }) => textAt(value, "status", "nodeInfo", "kubeletVersion").includes("+k3s"));
  if (signs.length === 0) add("kube-router", k3s, false, " runs k3s, whose policy controller is kube-router's");
  return signs;
}

function isAwsPolicyAgent(object: ManifestObject): boolean {
  return containersOf(object).some((container) => argumentsOf(container).includes("--enable-network-policy=true"));
}

/** Says what is known of plugins that hand out addresses only, where no policy engine was found. */
function addressPluginWarnings(agents: readonly ManifestObject[]): readonly string[] {
  const has = (pattern: RegExp) => agents.some((agent) => agentNames(agent).some((name) => pattern.test(name)));
  const warnings: string[] = [];
  if (has(/^aws-node$/))
    warnings.push("aws-node runs without --enable-network-policy=true: nothing in this cluster enforces network policies");
  if (has(/^kube-flannel/)) warnings.push("flannel alone enforces no network policies");
  if (has(/^kindnet$/)) warnings.push("kindnet enforces NetworkPolicy in newer versions only (kind v0.24 and later)");
  return warnings;
}

/**
 * Infers the network plugin from DaemonSets, pods, ConfigMaps, nodes and policy objects. Running agents come before what they leave
 * behind, policy engines before plugins that only hand out addresses; CRDs alone prove nothing. Never throws.
 */
export function inferCni(objects: readonly ManifestObject[]): CniGuess {
  const finished = ["Succeeded", "Failed"];
  const agents = objects.filter(
    ({ value }) => value.kind === "DaemonSet" || (value.kind === "Pod" && !finished.includes(textAt(value, "status", "phase"))),
  );
  const signs = findSigns(objects, agents);
  const running = signs.filter((sign) => sign.isAgent);
  const candidates = running.length > 0 ? running : signs;
  const rank = (sign: Sign) => ENGINES.findIndex(([name]) => name === sign.name);
  const chosen = candidates.toSorted((a, b) => rank(a) - rank(b)).at(0);
  if (chosen === undefined) {
    const found = ["aws-node", "kube-flannel", "kindnet"].filter((plugin) =>
      agents.some((agent) => agentNames(agent).some((name) => name.startsWith(plugin))),
    );
    const because = found.length === 0 ? "nothing in the snapshot names one" : `only ${found.join(" and ")} found`;
    return { name: "generic", because, warnings: [...addressPluginWarnings(agents), ...servedGroups(objects)], settings: {} };
  }
  const { settings, warnings } = settingsOf(chosen.name, objects, agents);
  const rival = candidates.find((sign) => sign.name !== chosen.name);
  if (rival)
    warnings.unshift(
      `two network plugins are in the snapshot (${chosen.because}; ${rival.because}): ${chosen.name} is taken, give --cni to say which one decides`,
    );
  return { name: chosen.name, because: chosen.because, warnings, settings };
}

function servedGroups(objects: readonly ManifestObject[]): readonly string[] {
  const groups = new Set(objects.flatMap((object) => [groupOf(object), textAt(object.value, "spec", "group")]));
  const vendors = [...POLICY_KINDS.keys()].filter((group) => /cilium|calico|antrea|aws/.test(group));
  return vendors
    .filter((group) => groups.has(group))
    .map((group) => `objects or CRDs of ${group} are in the snapshot, but no agent that would enforce them: give --cni if one runs`);
}

function settingsOf(name: CniGuess["name"], objects: readonly ManifestObject[], agents: readonly ManifestObject[]) {
  const settings: Record<string, string> = {};
  const warnings: string[] = [];
  const data = (configMap: string) =>
    objects
      .filter(({ value }) => value.kind === "ConfigMap" && textAt(value, "metadata", "name") === configMap)
      .map(({ value }) => valueAt(value, "data"));
  const own = agents.filter((agent) => agentNames(agent).some((agentName) => AGENT_NAMES[name].includes(agentName)));
  const containers = own.flatMap(containersOf);
  const version = containers
    .map((container) => /:v?(\d+\.\d+[^@]*)/.exec(textAt(container, "image"))?.[1])
    .find((tag) => tag !== undefined);
  if (version) settings.version = version;
  const environment = (key: string) =>
    containers
      .flatMap((container) => listAt(container, "env").filter((entry) => valueAt(entry, "name") === key))
      .map((entry) => textAt(entry, "value"));
  if (name === "cilium") {
    for (const config of data("cilium-config")) {
      settings.configured = "true";
      for (const key of CILIUM_SETTINGS) if (textAt(config, key)) settings[key] = textAt(config, key);
    }
  } else if (name === "antrea") {
    const gates = data("antrea-config").flatMap((config) => entriesAt(config).map(([, text]) => (typeof text === "string" ? text : "")));
    if (data("antrea-config").length > 0) settings.configured = "true";
    for (const text of gates) for (const [, gate, on] of text.matchAll(/^\s*(\w+NetworkPolicy):\s*(true|false)\b/gm)) settings[gate] = on;
  } else if (name === "calico") {
    const felix = objects.find(({ value }) => value.kind === "FelixConfiguration" && textAt(value, "metadata", "name") === "default");
    const action = textAt(felix?.value, "spec", "defaultEndpointToHostAction") || environment("FELIX_DEFAULTENDPOINTTOHOSTACTION")[0];
    settings.defaultEndpointToHostAction = action || "Accept";
    if (!action)
      warnings.push("the snapshot does not say Calico's defaultEndpointToHostAction: Accept is assumed, as the shipped manifests set it");
  } else if (name === "aws") {
    const mode = environment("NETWORK_POLICY_ENFORCING_MODE")[0];
    settings.NETWORK_POLICY_ENFORCING_MODE = mode || "standard";
    if (!mode) warnings.push("the snapshot does not say NETWORK_POLICY_ENFORCING_MODE: standard is assumed");
  }
  return { settings, warnings };
}

const AGENT_NAMES = { ...Object.fromEntries(ENGINES), aws: ["aws-node"], generic: [] } as unknown as Record<
  CniGuess["name"],
  readonly string[]
>;

const TUNNEL_ANNOTATION =
  /^(projectcalico\.org\/(IPv[46](Address|IPIPTunnelAddr|VXLANTunnelAddr|WireguardInterfaceAddr)|VXLANTunnelAddrV6|WireguardV6InterfaceAddr|IPv6WireguardInterfaceAddr)|(network\.cilium\.io\/|io\.cilium\.network\.)ipv[46]-cilium-host|k8s\.ovn\.org\/(node-gateway-router-lrp-ifaddrs?|host-(cidrs|addresses)))$/;

/** Returns addresses that network plugins give a node beside its own: tunnel, router and management-port addresses, from its annotations. */
export function pluginAddresses(annotations: Readonly<Record<string, string>>): readonly Address[] {
  const texts = Object.entries(annotations).flatMap(([key, text]) =>
    TUNNEL_ANNOTATION.test(key) ? (text.match(/[0-9a-fA-F.:]{2,}/g) ?? []) : [],
  );
  const ports = ovnNodeSubnets(annotations).map(({ first, last }) => (first + 2n <= last ? first + 2n : first));
  return [...texts.map(parseAddress).filter((address) => address !== undefined), ...ports];
}

/** Returns the pod subnets that OVN-Kubernetes gave a node: `{"default":["10.244.0.0/24"]}`, the inner list may be one text. */
export function ovnNodeSubnets(annotations: Readonly<Record<string, string>>): readonly Prefix[] {
  return Object.hasOwn(annotations, "k8s.ovn.org/node-subnets") ? prefixesIn(annotations["k8s.ovn.org/node-subnets"]) : [];
}

/**
 * Returns the addresses of pod prefixes that bridges and tunnels of a node commonly take: the first host (bridge, antrea-gw0) and the
 * network address itself (flannel.1). They count only where no pod has them.
 */
export function gatewayAddresses(prefixes: readonly Prefix[]): readonly Address[] {
  return prefixes.flatMap(({ first, last }) => (first + 1n < last ? [first, first + 1n] : []));
}

function prefixesIn(text: string): readonly Prefix[] {
  return (text.match(/[0-9a-fA-F.:]{2,}\/\d+/g) ?? []).map(parsePrefix).filter((prefix) => prefix !== undefined);
}

/** Returns the pod and Service ranges that cluster-wide settings name: control-plane arguments, kubeadm-config, ServiceCIDR, Calico IPPool, CiliumNode. */
export function rangesOf(objects: readonly ManifestObject[]): {
  readonly pods: readonly Prefix[];
  readonly services: readonly Prefix[];
  /** Pools that give out no address any more; pods may still have some. */
  readonly disabled: readonly Prefix[];
} {
  const pods: string[] = [];
  const disabled: string[] = [];
  const services: string[] = [];
  for (const object of objects) {
    const { value } = object;
    const [kind, group, name] = [value.kind, groupOf(object), textAt(value, "metadata", "name")];
    if (kind === "Pod" && /^kube-(controller-manager|apiserver)(-|$)/.test(name)) {
      const line = containersOf(object).flatMap(argumentsOf).join(" ");
      pods.push(/--cluster-cidr[= ](\S+)/.exec(line)?.[1] ?? "");
      services.push(/--service-cluster-ip-range[= ](\S+)/.exec(line)?.[1] ?? "");
    } else if (kind === "ConfigMap" && name === "kubeadm-config") {
      const text = textAt(value, "data", "ClusterConfiguration");
      pods.push(/^\s*podSubnet:\s*(.+)$/m.exec(text)?.[1] ?? "");
      services.push(/^\s*serviceSubnet:\s*(.+)$/m.exec(text)?.[1] ?? "");
    } else if (kind === "ServiceCIDR" && group === "networking.k8s.io") services.push(textsAt(value, "spec", "cidrs").join(" "));
    else if (kind === "IPPool" && group.endsWith("projectcalico.org")) {
      const isDisabled = valueAt(valueAt(value, "spec"), "disabled") === true;
      (isDisabled ? disabled : pods).push(textAt(value, "spec", "cidr"));
    } else if (kind === "CiliumNode" && group === "cilium.io") pods.push(textsAt(value, "spec", "ipam", "podCIDRs").join(" "));
  }
  return { pods: pods.flatMap(prefixesIn), services: services.flatMap(prefixesIn), disabled: disabled.flatMap(prefixesIn) };
}
