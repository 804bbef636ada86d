import { Command, Flags } from "@oclif/core";
import {
  clusterFlags,
  everyNamespaceFlags,
  liveOf,
  outputFlags,
  policiesOf,
  policyFlags,
  trafficFlags,
  trafficOf,
} from "../src/cli/flags.ts";

export default class Simulate extends Command {
  static override summary = "Tell which observed connections policies would drop, and why.";
  static override description =
    "Replays observed traffic against policies, in this process: no cluster is touched. The candidate policies are laid over those that the snapshot holds, as `kubectl apply` would lay them. Connections that were seen to work and that the policies deny are grouped by cause, each with the policy, its file and line, and the rule that came nearest to allowing it.\n\nExit codes: 0 nothing would be dropped, 1 something would, 2 or more an error.";
  static override usage = "<%= command.id %> [--pcap FILE] [--snapshot FILE] [-f FILE|DIR] [flags]";
  static override examples = [
    {
      description: "What would break in the cluster of the current context, by what its kguardian broker observed?",
      command: "<%= config.bin %> <%= command.id %> -f policies",
    },
    {
      description: "What would break if these policies were applied?",
      command:
        "<%= config.bin %> <%= command.id %> --pcap fixtures/shop/monday.pcapng --snapshot fixtures/shop/cluster.yaml -f fixtures/shop/network-policies",
    },
    {
      description: "Does the cluster's own policy set already drop something?",
      command: "<%= config.bin %> <%= command.id %> --pcap fixtures/shop/monday.pcapng --snapshot fixtures/shop/cluster.yaml",
    },
    {
      description: "With a flow log that names pods itself, no cluster and no snapshot are needed:",
      command:
        "<%= config.bin %> <%= command.id %> --offline --flows fixtures/flow-logs/hubble/shop.jsonl -f fixtures/shop/network-policies",
    },
    {
      description: "In CI, with a report for the pull request and the findings that were accepted:",
      command:
        "<%= config.bin %> <%= command.id %> --pcap fixtures/shop/monday.pcapng --snapshot fixtures/shop/cluster.yaml -f fixtures/shop/network-policies --ignore fixtures/shop/accepted.yaml --report markdown=simulation.md",
    },
  ];
  static override flags = {
    ...trafficFlags,
    ...clusterFlags,
    ...everyNamespaceFlags,
    ...policyFlags,
    ignore: Flags.string({
      helpValue: "FILE",
      helpGroup: "POLICIES",
      summary: "Accepted findings: a YAML list of {source, destination, port, reason, until}.",
    }),
    ...outputFlags,
    follow: Flags.boolean({
      helpGroup: "TRAFFIC",
      summary:
        "Judge the records of --flows as they come, and tell of each denied connection when it first appears; the report follows at the end, or on Ctrl-C.",
    }),
    "fail-on": Flags.string({
      options: ["drop", "unknown"],
      default: "drop",
      helpGroup: "OUTPUT",
      summary: "What exits with 1: a connection that would be dropped, or also one whose verdict is unknown.",
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Simulate);
    // The parsing of --help must not wait for the engine.
    const { deliverSimulation } = await import("../src/cli/deliverSimulation.ts");
    const { FINDING_FORMATS, isTable, parseReports } = await import("../src/cli/deliver.ts");
    const { report = [] } = flags;
    parseReports(report, FINDING_FORMATS);
    const given = {
      ...flags,
      ...liveOf(flags),
      ...policiesOf(flags),
      ...trafficOf(flags),
    };
    const result = flags.follow
      ? await (await import("../src/cli/follow.ts")).followSimulation(given, (line) => {
          // A report that scripts read has standard output to itself.
          // Whoever closes the output has seen this much.
          if (!flags["exit-zero"]) process.exitCode = 1;
          (isTable(flags.output) ? process.stdout : process.stderr).write(`${line}\n`);
        })
      : await (await import("../src/cli/simulate.ts")).simulate(given);
    process.exitCode = await deliverSimulation(result, {
      ...flags,
      report,
      exitZero: flags["exit-zero"],
      failOn: flags["fail-on"] as "drop" | "unknown",
    });
  }
}
