import { Flags } from "@oclif/core";
import { FORMAT_NAMES } from "../capture/logs/formatNames.ts";
import { CNI_NAMES } from "../evaluate/profile.ts";
import type { LiveFlags } from "./sources.ts";

/*
 * Flags that several commands share, in the words of the command contract. oclif would turn a repeated flag followed by words
 * into more values; `multipleNonGreedy` keeps one value a flag, as kubectl has it.
 */

const repeated = { multiple: true, multipleNonGreedy: true } as const;

/** Without any of the first two, the live broker is asked. */
export const trafficFlags = {
  pcap: Flags.string({
    ...repeated,
    helpValue: "FILE|DIR|-",
    helpGroup: "TRAFFIC",
    summary: "Capture to read: pcap or pcapng, plain, gzip or zstd. A directory of rotated captures and several files are one observation.",
  }),
  flows: Flags.string({
    ...repeated,
    helpValue: "FILE|DIR|-",
    helpGroup: "TRAFFIC",
    summary:
      "Flow log to read, of a network plugin, a cloud or a monitor: text, JSON, CSV or Parquet, plain, gzip or zstd. docs/flow-logs.md lists them.",
  }),
  "flow-format": Flags.string({
    options: FORMAT_NAMES,
    helpGroup: "TRAFFIC",
    summary: "Format of the flow logs; found by content where it is not given.",
  }),
  "flow-fields": Flags.string({
    helpValue: "NAMES",
    helpGroup: "TRAFFIC",
    summary: "Fields of a VPC flow log of AWS without a header line, in their order, as its format string has them.",
  }),
  offline: Flags.boolean({
    helpGroup: "CLUSTER",
    summary: "Ask no cluster, whatever kubeconfig there is: who is who is what --snapshot and the flow logs themselves say.",
  }),
  since: Flags.string({
    helpValue: "TIME",
    helpGroup: "TRAFFIC",
    summary:
      "Only traffic from this moment on: an RFC 3339 time, or a duration back from the newest record, of a broker from now (30m, 24h).",
  }),
  until: Flags.string({ helpValue: "TIME", helpGroup: "TRAFFIC", summary: "Only traffic up to this moment, written as --since is." }),
  dns: Flags.string({
    helpValue: "FILE",
    helpGroup: "TRAFFIC",
    summary: 'Names of outside addresses, besides those in observed DNS answers: JSON {"name": ["address"]} or lines as in /etc/hosts.',
  }),
};

/** Where the live cluster is. */
export const kubeFlags = {
  kubeconfig: Flags.string({
    helpValue: "FILE",
    helpGroup: "CLUSTER",
    summary: "Kubeconfig of the live cluster; as kubectl finds it without.",
  }),
  context: Flags.string({ helpValue: "NAME", helpGroup: "CLUSTER", summary: "Context of the kubeconfig." }),
  "request-timeout": Flags.string({
    helpValue: "DURATION",
    helpGroup: "CLUSTER",
    summary: "How long one request to the cluster or broker may take (30s, 2m).",
  }),
};

/** Where the live cluster and the broker are, for what no file was given of. */
export const liveFlags = {
  ...kubeFlags,
  "broker-url": Flags.string({
    helpValue: "URL",
    helpGroup: "BROKER",
    summary: "Where the kguardian broker is; also from KGUARDIAN_BROKER_URL. Without one, a port-forward through the API server.",
  }),
  "broker-service": Flags.string({ helpValue: "NAME", helpGroup: "BROKER", summary: "Service of the broker; broker by default." }),
  "broker-namespace": Flags.string({
    helpValue: "NAME",
    helpGroup: "BROKER",
    summary: "Namespace of the broker; KUBE_GUARDIAN_NAMESPACE, else kguardian.",
  }),
  "broker-token-file": Flags.string({
    helpValue: "FILE",
    helpGroup: "BROKER",
    summary: "File with the broker's bearer token; also from KGUARDIAN_BROKER_TOKEN. Never on the command line.",
  }),
};

/** What of the live flags a command was given, by the names that the library has for them. */
export function liveOf(flags: Readonly<Record<string, unknown>>): LiveFlags {
  const text = (name: string) => flags[name] as string | undefined;
  return {
    kubeconfig: text("kubeconfig"),
    context: text("context"),
    requestTimeout: text("request-timeout"),
    brokerUrl: text("broker-url"),
    brokerService: text("broker-service"),
    brokerNamespace: text("broker-namespace"),
    brokerTokenFile: text("broker-token-file"),
  };
}

/** What of the traffic flags a command was given, by the names that the library has for them. */
export function trafficOf(flags: Readonly<Record<string, unknown>>) {
  const text = (name: string) => flags[name] as string | undefined;
  const texts = (name: string) => (flags[name] as readonly string[] | undefined) ?? [];
  return {
    pcap: texts("pcap"),
    flows: texts("flows"),
    flowFormat: text("flow-format"),
    flowFields: text("flow-fields"),
    offline: flags.offline as boolean | undefined,
    since: text("since"),
    until: text("until"),
    dns: text("dns"),
  };
}

/** Which policies a command was given, and which snapshots, by the names that the library has for them. */
export function policiesOf(flags: Readonly<Record<string, unknown>>) {
  const texts = (name: string) => (flags[name] as readonly string[] | undefined) ?? [];
  return { snapshot: texts("snapshot"), filename: texts("filename"), policyMode: flags["policy-mode"] as "overlay" | "replace" };
}

const snapshotFlags = {
  snapshot: Flags.string({
    ...repeated,
    helpValue: "FILE|DIR|-",
    helpGroup: "CLUSTER",
    summary:
      "Kubernetes objects as `kubectl kguardian snapshot`, or `kubectl get ns,nodes,pods,svc,endpointslices,deploy,rs,sts,ds,jobs,cronjobs,netpol -A -o yaml` (or json) prints them. Without any, the live cluster.",
  }),
};

/** Of commands that never ask the broker. */
export const objectFlags = { ...snapshotFlags, ...kubeFlags };

const namespaceFlags = {
  namespace: Flags.string({
    char: "n",
    helpValue: "NAME",
    helpGroup: "CLUSTER",
    summary: "Namespace of policies that name none; the context's of a live cluster, else default.",
  }),
};

export const clusterFlags = { ...snapshotFlags, ...namespaceFlags, ...liveFlags };

/** Of commands that judge policies without any traffic: cluster objects are all that they ask for. */
export const clusterOnlyFlags = { ...snapshotFlags, ...namespaceFlags, ...kubeFlags };

export const policyFlags = {
  filename: Flags.string({
    ...repeated,
    char: "f",
    helpValue: "FILE|DIR|-",
    helpGroup: "POLICIES",
    summary: "Candidate policies. Without any, the snapshot's own policies are judged.",
  }),
  recursive: Flags.boolean({ char: "R", helpGroup: "POLICIES", summary: "Read the directories of --filename with all below them." }),
  "policy-mode": Flags.string({
    options: ["overlay", "replace"],
    default: "overlay",
    helpGroup: "POLICIES",
    summary:
      "How candidates meet existing policies. overlay: as `kubectl apply`, the same kind, namespace and name is replaced and the rest stays; replace: the candidates alone.",
  }),
  staged: Flags.boolean({
    helpGroup: "POLICIES",
    summary: "Judge Calico's staged policies as if they were promoted; without it they count for nothing.",
  }),
  cni: Flags.string({
    options: ["auto", ...CNI_NAMES],
    default: "auto",
    helpGroup: "POLICIES",
    summary: "Network plugin whose enforcement is imitated; auto infers it from the snapshot.",
  }),
};

/** Of commands that look at every namespace in any case. */
export const everyNamespaceFlags = {
  "all-namespaces": Flags.boolean({
    char: "A",
    helpGroup: "CLUSTER",
    summary: "Accepted as by kubectl: traffic and policies of every namespace are looked at in any case.",
  }),
};

/** Which workloads a `gen` command is about, besides NAME. */
export const workloadFlags = {
  all: Flags.boolean({ char: "a", helpGroup: "WHAT", summary: "Every workload of the namespace." }),
  "all-namespaces": Flags.boolean({ char: "A", helpGroup: "WHAT", summary: "Every workload of every namespace." }),
};

/** Of commands that find nothing which a script would want to fail for. */
export const ignoredFlags = {
  "exit-zero": Flags.boolean({ hidden: true, summary: "Accepted as everywhere; this command never exits with 1." }),
};

export const outputFlags = {
  output: Flags.string({
    char: "o",
    options: ["table", "wide", "json", "yaml", "name"],
    default: "table",
    helpGroup: "OUTPUT",
    summary: "What to print.",
  }),
  report: Flags.string({
    ...repeated,
    helpValue: "FORMAT=FILE",
    helpGroup: "OUTPUT",
    summary: "Also write a report to a file: json, markdown, sarif (code review) or junit (CI).",
  }),
  "exit-zero": Flags.boolean({ helpGroup: "OUTPUT", summary: "Exit with 0 where 1 would say that something was found." }),
  strict: Flags.boolean({ helpGroup: "OUTPUT", summary: "Treat an input that could only be read in part as an error." }),
};
