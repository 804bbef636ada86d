import { Command, Flags } from "@oclif/core";
import { clusterFlags, ignoredFlags, liveOf, outputFlags, policiesOf, policyFlags, trafficFlags } from "../src/cli/flags.ts";

export default class Matrix extends Command {
  static override summary = "Tell all connectivity that policies allow, between workloads and with the outside.";
  static override description =
    "Works out who may reach whom on which ports under a policy set: exactly, from the policies and labels alone, without any traffic. Who shares ports with the same workloads is told on one line; what the outside and what every pod reaches is told apart.\n\nWithout a snapshot and without a cluster the files of --filename must hold the workloads beside the policies: Deployments without running pods will do.";
  static override usage = "<%= command.id %> [--snapshot FILE] [-f FILE|DIR] [flags]";
  static override examples = [
    { description: "Who may reach whom in the cluster of the current context?", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "What would these policies allow to and from the shop's orders?",
      command:
        "<%= config.bin %> <%= command.id %> --snapshot fixtures/shop/cluster.yaml -f fixtures/shop/network-policies --focus shop/deploy/orders",
    },
    {
      description: "As a graph (dot -Tsvg draws it), and as a table for a spreadsheet:",
      command: "<%= config.bin %> <%= command.id %> --snapshot fixtures/shop/cluster.yaml -f fixtures/shop/network-policies -o dot",
    },
  ];
  static override flags = {
    ...clusterFlags,
    offline: trafficFlags.offline,
    ...policyFlags,
    focus: Flags.string({
      helpValue: "WORKLOAD",
      helpGroup: "OUTPUT",
      summary: "Only what comes from a workload or goes to it: shop/deploy/web, or deploy/web with -n shop.",
    }),
    ...outputFlags,
    ...ignoredFlags,
    output: Flags.string({
      char: "o",
      options: ["table", "wide", "json", "yaml", "csv", "dot", "markdown", "name"],
      default: "table",
      helpGroup: "OUTPUT",
      summary: "What to print.",
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Matrix);
    // The parsing of --help must not wait for the engine.
    const { FINDING_FORMATS, parseReports } = await import("../src/cli/deliver.ts");
    const { report = [] } = flags;
    parseReports(report, FINDING_FORMATS);
    const [{ matrix }, { deliverMatrix }] = await Promise.all([import("../src/cli/matrix.ts"), import("../src/cli/deliverMatrix.ts")]);
    const result = await matrix({
      ...flags,
      ...liveOf(flags),
      ...policiesOf(flags),
    });
    process.exitCode = await deliverMatrix(result, { ...flags, report });
  }
}
