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

export default class Coverage extends Command {
  static override summary = "Tell which rules observed traffic used, and which could go or be tighter.";
  static override description =
    "Holds observed traffic against the policies in force and counts what each rule decided: connections that were seen to work, or whose end is not known, for a rule that allows; whatever it matches for one that denies. Rules without hits are told (dead), and apart from them those whose workloads had no traffic at all (not exercised), which no observation can say anything of, and those that connections with an unknown verdict may have used (not known).\n\nTwo things are told from the policies alone, proven over all ends and ports: rules without which the same would be allowed (redundant), with those that do their work, and rules and selectors that nobody here is what they ask for (matches nothing). Rules that allow more than they were used for (wider) come with a tighter rule, which is given only where it still allows all that was seen and nothing that the old one did not. Workloads that no policy isolates in a direction are listed.\n\nThe percentage is that of the rules in force that decided at least one connection, out of all rules in force: of policies that the plugin honours, whatever they are about. A rule that matches nothing, or that another rule always decides before, counts as not covered; rules that only log do not count.\n\nExit codes: 0; 1 with --min where fewer are covered; 2 or more an error.";
  static override usage = "<%= command.id %> [--pcap FILE] [--snapshot FILE] [-f FILE|DIR] [--min PERCENT] [flags]";
  static override examples = [
    {
      description: "Which rules of the cluster of the current context are used, by what its kguardian broker observed?",
      command: "<%= config.bin %> <%= command.id %>",
    },
    {
      description: "Which of these policies' rules did a Monday's traffic use?",
      command:
        "<%= config.bin %> <%= command.id %> --pcap fixtures/shop/monday.pcapng --snapshot fixtures/shop/cluster.yaml -f fixtures/shop/network-policies-fixed",
    },
    {
      description: "In CI, failing where fewer than half of the rules are covered:",
      command:
        "<%= config.bin %> <%= command.id %> --pcap fixtures/shop/monday.pcapng --snapshot fixtures/shop/cluster.yaml -f fixtures/shop/network-policies-fixed --min 50 --report sarif=coverage.sarif",
    },
  ];
  static override flags = {
    ...trafficFlags,
    ...clusterFlags,
    ...everyNamespaceFlags,
    ...policyFlags,
    min: Flags.string({
      helpValue: "PERCENT",
      helpGroup: "OUTPUT",
      summary: "Exit with 1 where less than this percentage of the rules in force decided any connection.",
    }),
    ...outputFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Coverage);
    // The parsing of --help must not wait for the engine.
    const { deliverCoverage } = await import("../src/cli/deliverCoverage.ts");
    const { FINDING_FORMATS, parseReports } = await import("../src/cli/deliver.ts");
    const { coverage } = await import("../src/cli/coverage.ts");
    const { report = [] } = flags;
    parseReports(report, FINDING_FORMATS);
    const result = await coverage({
      ...flags,
      ...liveOf(flags),
      ...policiesOf(flags),
      ...trafficOf(flags),
    });
    process.exitCode = await deliverCoverage(result, { ...flags, report, exitZero: flags["exit-zero"] });
  }
}
