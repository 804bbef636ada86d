import { Args, Command, Flags } from "@oclif/core";
import { clusterFlags, ignoredFlags, liveOf, trafficFlags, trafficOf, workloadFlags } from "../../src/cli/flags.ts";
import { CNI_NAMES } from "../../src/evaluate/profile.ts";

export default class GenNetworkPolicy extends Command {
  static override aliases = ["gen:netpol"];
  static override summary = "Write least-privilege network policies from observed traffic, and prove them.";
  static override description =
    "Learns which peers and ports each workload used, and writes one policy a workload: pods by their lasting labels, the backend's target port, outside addresses as the fewest prefixes. Before anything is written, what was learned is replayed against what was generated, every rule must be used, and what lies just beside each rule must be denied; otherwise nothing is written.\n\nConnections that were refused, never answered or dropped are not learned from, and are counted in the summary. A direction in which nothing was seen is closed, and the summary says so.\n\nExit codes: 0, or 2 and more for an error.";
  static override usage = "<%= command.id %> [NAME|KIND/NAME] [--pcap FILE] [--snapshot FILE] [flags]";
  static override examples = [
    {
      description: "For one workload of the cluster of the current context, from what its kguardian broker observed:",
      command: "<%= config.bin %> <%= command.id %> deploy/orders -n shop",
    },
    {
      description: "The same, applied after the server's dry run and a simulation:",
      command: "<%= config.bin %> <%= command.id %> deploy/orders -n shop --dry-run=false",
    },
    {
      description: "A policy for one workload, written to policies/:",
      command:
        "<%= config.bin %> <%= command.id %> deploy/orders -n shop --pcap fixtures/shop/monday.pcapng --snapshot fixtures/shop/cluster.yaml",
    },
    {
      description: "For every workload of a namespace, with a default deny, to standard output:",
      command:
        '<%= config.bin %> <%= command.id %> --all -n shop --default-deny --output-dir="" --pcap fixtures/shop/monday.pcapng --snapshot fixtures/shop/cluster.yaml',
    },
    {
      description: "For every namespace, as Cilium policies with outside hosts by name:",
      command:
        "<%= config.bin %> <%= command.id %> -A --type cilium --fqdn --output-dir cilium --pcap fixtures/shop/monday.pcapng --snapshot fixtures/shop/cluster.yaml",
    },
  ];
  static override args = {
    name: Args.string({ description: "Workload or pod: web, deploy/web, pod/web-0." }),
  };
  static override flags = {
    ...trafficFlags,
    ...clusterFlags,
    namespace: Flags.string({
      char: "n",
      helpValue: "NAME",
      helpGroup: "CLUSTER",
      summary: "Namespace of NAME and --all, and of policies that name none; the context's of a live cluster, else default.",
    }),
    ...workloadFlags,
    "per-pod": Flags.boolean({ helpGroup: "WHAT", summary: "A policy for each pod that no controller made, by all of its labels." }),
    "include-failed": Flags.boolean({
      helpGroup: "WHAT",
      summary: "Learn from connections that were refused, never answered or dropped too.",
    }),
    "min-window": Flags.string({
      helpValue: "DURATION",
      helpGroup: "WHAT",
      summary: "No policy for workloads seen for less than this (24h, 7d).",
    }),
    "min-connections": Flags.string({
      helpValue: "N",
      helpGroup: "WHAT",
      summary: "No policy for workloads seen in fewer connections than this.",
    }),
    type: Flags.string({
      char: "t",
      options: ["kubernetes", "k8s", "cilium", "calico"],
      default: "kubernetes",
      helpGroup: "POLICIES",
      summary: "Kind of policies: NetworkPolicy of Kubernetes, CiliumNetworkPolicy, or NetworkPolicy of Calico.",
    }),
    cni: Flags.string({
      options: ["auto", ...CNI_NAMES],
      default: "auto",
      helpGroup: "POLICIES",
      summary: "Network plugin whose enforcement the policies are proven under; auto infers it from the snapshot.",
    }),
    "default-deny": Flags.boolean({ helpGroup: "POLICIES", summary: "Add a policy for each namespace that denies what no other allows." }),
    merge: Flags.string({
      helpValue: "FILE|DIR",
      helpGroup: "POLICIES",
      summary:
        "Extend these policies by what they do not allow yet, instead of writing new ones. Rules are added to the files as they are.",
    }),
    "cluster-wide": Flags.boolean({ helpGroup: "POLICIES", summary: "With --type cilium: write CiliumClusterwideNetworkPolicy." }),
    l7: Flags.boolean({ helpGroup: "POLICIES", summary: "With --type cilium: allow only the HTTP requests and DNS names that were seen." }),
    fqdn: Flags.boolean({
      helpGroup: "POLICIES",
      summary: "With --type cilium: allow outside hosts by their DNS names (toFQDNs) where these are known.",
    }),
    "cidr-max-widen": Flags.string({
      helpValue: "BITS",
      helpGroup: "POLICIES",
      summary:
        "Join outside addresses into prefixes up to this many bits shorter (IPv6: four times as many). Never over the cluster's own addresses.",
    }),
    "output-dir": Flags.string({
      helpValue: "DIR",
      helpGroup: "OUTPUT",
      summary: 'Where files are written: policies by default, with --merge where its files are; "" prints the policies instead.',
    }),
    "dry-run": Flags.string({
      default: "true",
      helpValue: "true|false|client|server",
      helpGroup: "APPLY",
      summary:
        "true and client: write files only. server: also ask the API server what it would do. false: apply them server-side, after its dry run and a simulation of the observed traffic.",
    }),
    force: Flags.boolean({
      helpGroup: "APPLY",
      summary: "Apply though observed connections would be dropped.",
    }),
    "force-conflicts": Flags.boolean({
      helpGroup: "APPLY",
      summary: "Take over fields of policies that somebody else set, as kubectl does.",
    }),
    yes: Flags.boolean({ char: "y", helpGroup: "APPLY", summary: "Do not ask before the cluster is changed." }),
    backup: Flags.string({
      helpValue: "FILE",
      helpGroup: "APPLY",
      summary: "Where policies that are replaced are kept; kguardian-backup-TIME.yaml by default.",
    }),
    output: Flags.string({
      char: "o",
      options: ["table", "wide", "json", "yaml", "name"],
      default: "table",
      helpGroup: "OUTPUT",
      summary: "What to print of the result.",
    }),
    report: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: "FORMAT=FILE",
      helpGroup: "OUTPUT",
      summary: "Also write a report to a file: json=FILE.",
    }),
    strict: Flags.boolean({ helpGroup: "OUTPUT", summary: "Treat an input that could only be read in part as an error." }),
    ...ignoredFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GenNetworkPolicy);
    const { runGenerate } = await import("../../src/cli/runGenerate.ts");
    const { snapshot = [], report = [] } = flags;
    const generate = {
      ...flags,
      ...liveOf(flags),
      ...trafficOf(flags),
      snapshot,
      name: args.name,
      allNamespaces: flags["all-namespaces"],
      clusterWide: flags["cluster-wide"],
      defaultDeny: flags["default-deny"],
      includeFailed: flags["include-failed"],
      perPod: flags["per-pod"],
      merge: flags.merge,
      dryRun: flags["dry-run"],
      widen: flags["cidr-max-widen"],
      minWindow: flags["min-window"],
      minConnections: flags["min-connections"],
      forceConflicts: flags["force-conflicts"],
    };
    await runGenerate(generate, { ...flags, report, outputDirectory: flags["output-dir"], merge: flags.merge });
  }
}
