import { Args, Command, Flags } from "@oclif/core";
import { clusterFlags, liveOf, outputFlags, policiesOf, policyFlags, trafficFlags, trafficOf } from "../src/cli/flags.ts";

const { filename: _, ...setFlags } = policyFlags;

export default class Diff extends Command {
  static override summary = "Tell what a change of policies changes: in text, in connectivity, in observed traffic.";
  static override description =
    "Compares two sets of policies. The difference in text leaves out defaults and an order that means nothing. The difference in connectivity is exact: both sets are compiled over what either tells apart, so that it is proven complete, and so is equivalence. With captures or flow logs, the observed connections whose verdict changes are told as well, the most often seen first.\n\nEach set is a file, a directory, `-`, or the word `cluster` for the policies that the snapshot or the live cluster holds; with one argument it is compared with those. Without a snapshot and without a cluster the manifests themselves must hold the workloads: Deployments without running pods will do.\n\nExit codes: 0 no difference, 1 a difference, 2 or more an error.";
  static override usage = "<%= command.id %> OLD [NEW] [--snapshot FILE] [flags]";
  static override examples = [
    {
      description: "What would applying this folder change in the cluster of the current context?",
      command: "<%= config.bin %> <%= command.id %> policies",
    },
    {
      description: "What does the repaired set of the shop open, and which observed connections does it let through again?",
      command:
        "<%= config.bin %> <%= command.id %> fixtures/shop/network-policies fixtures/shop/network-policies-fixed --snapshot fixtures/shop/cluster.yaml --pcap fixtures/shop/monday.pcapng",
    },
    {
      description: "And which connections that its broker observed would change their verdict?",
      command: "<%= config.bin %> <%= command.id %> policies --broker",
    },
    {
      description: "For a pull request, as a comment:",
      command:
        "<%= config.bin %> <%= command.id %> fixtures/shop/network-policies fixtures/shop/network-policies-fixed --snapshot fixtures/shop/cluster.yaml --exit-zero --report markdown=diff.md",
    },
  ];
  static override args = {
    old: Args.string({
      name: "OLD",
      required: true,
      description: "The earlier set: a file, a directory, -, or cluster. Alone, it is the later one.",
    }),
    new: Args.string({ name: "NEW", description: "The later set." }),
  };
  static override flags = {
    ...trafficFlags,
    ...clusterFlags,
    broker: Flags.boolean({
      helpGroup: "BROKER",
      summary: "Hold what the cluster's kguardian broker observed against the change, too. --broker-url does so without this.",
    }),
    "old-snapshot": Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: "FILE|DIR",
      helpGroup: "CLUSTER",
      summary: "Objects as they were for the earlier set, where labels or workloads changed too; --snapshot then has the later ones.",
    }),
    ...setFlags,
    recursive: Flags.boolean({ char: "R", helpGroup: "POLICIES", summary: "Read directories with all below them." }),
    "policy-mode": Flags.string({
      options: ["overlay", "replace"],
      default: "overlay",
      helpGroup: "POLICIES",
      summary:
        "How the sets meet what the cluster holds. overlay: as `kubectl apply`, both lie over it, and what only the earlier set has is gone; replace: each set alone.",
    }),
    ...outputFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Diff);
    // The parsing of --help must not wait for the engine.
    const { FINDING_FORMATS, parseReports } = await import("../src/cli/deliver.ts");
    const { report = [] } = flags;
    parseReports(report, FINDING_FORMATS);
    const [{ diff }, { deliverDiff }] = await Promise.all([import("../src/cli/diff.ts"), import("../src/cli/deliverDiff.ts")]);
    const result = await diff({
      ...flags,
      ...liveOf(flags),
      ...policiesOf(flags),
      ...trafficOf(flags),
      old: args.new === undefined ? "cluster" : args.old,
      new: args.new ?? args.old,
      oldSnapshot: flags["old-snapshot"] ?? [],
    });
    process.exitCode = await deliverDiff(result, { ...flags, report, exitZero: flags["exit-zero"] });
  }
}
