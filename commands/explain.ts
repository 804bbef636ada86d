import { Args, Command, Flags } from "@oclif/core";
import { clusterOnlyFlags, liveOf, outputFlags, policiesOf, policyFlags } from "../src/cli/flags.ts";

export default class Explain extends Command {
  static override summary = "Tell which policies and rules decide one connection, and what would change it.";
  static override description =
    "Asks the policies on both sides of one connection, in this process: no traffic is needed and no cluster is touched. Every policy that selects an end is named with its file and line, every rule of it with why it matches or does not, and the smallest change of policies that would turn the verdict around; that change was made and judged before it is shown.\n\nAn endpoint is a workload or pod (shop/deploy/web, deploy/web with -n, shop/web-7d4b9-abcde), a Service (svc/orders: judged at its backends), node/NAME, an IP address, or external: an outside address that no rule names. PORT is a number (TCP where no protocol follows), a port's name, ICMP or ICMP/TYPE; without it every port that the destination declares.\n\nExit codes: 0 allowed, 1 denied, 2 or more an error.";
  static override usage = "<%= command.id %> SOURCE DESTINATION [PORT[/PROTOCOL]] [flags]";
  static override examples = [
    {
      description: "Why can web not reach orders, under policies that are about to be applied?",
      command:
        "<%= config.bin %> <%= command.id %> shop/deploy/web shop/svc/orders --snapshot fixtures/shop/cluster.yaml -f fixtures/shop/network-policies",
    },
    {
      description: "May orders call a host outside, in the cluster of the current context?",
      command: "<%= config.bin %> <%= command.id %> -n shop deploy/orders 203.0.113.10 443",
    },
    {
      description: "Who decides what comes from outside?",
      command:
        "<%= config.bin %> <%= command.id %> external shop/deploy/web http --snapshot fixtures/shop/cluster.yaml -f fixtures/shop/network-policies -o name",
    },
  ];
  static override args = {
    source: Args.string({ required: true, description: "Who begins the connection." }),
    destination: Args.string({ required: true, description: "Whom it reaches." }),
    port: Args.string({ description: "8080, 53/UDP, a port's name, ICMP, ICMP/TYPE." }),
  };
  static override flags = {
    ...clusterOnlyFlags,
    ...policyFlags,
    dns: Flags.string({
      helpValue: "FILE",
      helpGroup: "CLUSTER",
      summary: 'Names of outside addresses, for rules on DNS names: JSON {"name": ["address"]} or lines as in /etc/hosts.',
    }),
    ...outputFlags,
    "fail-on": Flags.string({
      options: ["deny", "unknown"],
      default: "deny",
      helpGroup: "OUTPUT",
      summary: "What exits with 1: a denied connection, or also one whose verdict is unknown.",
    }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Explain);
    // The parsing of --help must not wait for the engine.
    const { explain } = await import("../src/cli/explain.ts");
    const { deliverExplanation } = await import("../src/cli/deliverExplanation.ts");
    const { FINDING_FORMATS, parseReports } = await import("../src/cli/deliver.ts");
    const { report = [] } = flags;
    // A misspelt report is refused before a cluster is asked.
    parseReports(report, FINDING_FORMATS);
    const result = await explain({
      ...flags,
      ...liveOf(flags),
      ...policiesOf(flags),
      source: args.source,
      destination: args.destination,
      port: args.port,
      dns: flags.dns,
    });
    process.exitCode = await deliverExplanation(result, {
      ...flags,
      report,
      exitZero: flags["exit-zero"],
      failOn: flags["fail-on"] as "deny" | "unknown",
    });
  }
}
