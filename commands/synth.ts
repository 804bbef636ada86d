import { Command, Flags } from "@oclif/core";
import { clusterOnlyFlags, ignoredFlags, liveOf, outputFlags, policiesOf, policyFlags, trafficFlags } from "../src/cli/flags.ts";

export default class Synth extends Command {
  static override summary = "Make synthetic traffic for a cluster, from a seed: flow records, a capture, or a simulation.";
  static override description =
    "Makes connections between the pods, Services and nodes of a snapshot, and with the outside, as a profile says: who calls whom, when, how much is said, and how it ends. The same seed gives the same bytes. Records and capture of one run tell the same connections; --simulate judges them at once as `simulate` would judge the records.\n\nProfiles are small YAML files (docs/synth.md); --show-profile prints a built-in one to start from: microservices, web, database, batch, dns, burst, scan, lateral-movement, failover, partition, dual-stack. Never exits with 1: nothing that was made up is a finding.";
  static override usage = "<%= command.id %> [--snapshot FILE] [--profile NAME|FILE] [flags]";
  static override examples = [
    {
      description: "Who would talk to whom in the shop, in five minutes of usual traffic?",
      command: "<%= config.bin %> <%= command.id %> --snapshot fixtures/shop/cluster.yaml",
    },
    {
      description: "What would these policies drop of it?",
      command:
        "<%= config.bin %> <%= command.id %> --snapshot fixtures/shop/cluster.yaml --profile web --simulate -f fixtures/shop/network-policies",
    },
    {
      description: "A capture of a scan, and the flow records of the same connections:",
      command:
        "<%= config.bin %> <%= command.id %> --snapshot fixtures/shop/cluster.yaml --profile scan --seed 7 --duration 30s --pcap-out scan.pcapng --records-out scan.jsonl",
    },
    {
      description: "Pods that are replaced need the snapshot that goes with them:",
      command:
        "<%= config.bin %> <%= command.id %> --snapshot fixtures/shop/cluster.yaml --profile failover --snapshot-out after.yaml -o records > failover.jsonl",
    },
    { description: "A profile to start from:", command: "<%= config.bin %> <%= command.id %> --show-profile microservices > mine.yaml" },
  ];
  static override flags = {
    ...clusterOnlyFlags,
    offline: trafficFlags.offline,
    profile: Flags.string({
      helpValue: "NAME|FILE",
      helpGroup: "TRAFFIC",
      default: "microservices",
      summary: "What traffic to make: a built-in profile, or a TrafficProfile in a file.",
    }),
    "show-profile": Flags.string({
      helpValue: "NAME",
      helpGroup: "TRAFFIC",
      summary: "Print a built-in profile as YAML, and do nothing else.",
    }),
    seed: Flags.string({ helpValue: "N", helpGroup: "TRAFFIC", default: "1", summary: "What all random choices are made from." }),
    duration: Flags.string({
      helpValue: "T",
      helpGroup: "TRAFFIC",
      summary: "How long calls begin (30s, 5m, 1h30m), in place of the profile's.",
    }),
    rate: Flags.string({ helpValue: "N", helpGroup: "TRAFFIC", summary: "Calls a second on average, in place of the profile's." }),
    start: Flags.string({
      helpValue: "TIME",
      helpGroup: "TRAFFIC",
      summary: "When it begins (RFC 3339); without, the first whole minute in which all living pods of the snapshot had begun.",
    }),
    "pcap-out": Flags.string({ helpValue: "FILE|-", helpGroup: "OUTPUT", summary: "Write a capture (pcapng)." }),
    "records-out": Flags.string({ helpValue: "FILE|-", helpGroup: "OUTPUT", summary: "Write flow records, as -o records prints them." }),
    "snapshot-out": Flags.string({
      helpValue: "FILE|-",
      helpGroup: "OUTPUT",
      summary: "Write the snapshot that goes with the traffic: with the pods that were replaced and those that took their places.",
    }),
    simulate: Flags.boolean({
      helpGroup: "POLICIES",
      summary: "Judge the traffic against policies and print the report of `simulate`, with its flags.",
    }),
    ...policyFlags,
    ignore: Flags.string({ helpValue: "FILE", helpGroup: "POLICIES", summary: "With --simulate: accepted findings, as in `simulate`." }),
    ...outputFlags,
    ...ignoredFlags,
    "fail-on": Flags.string({
      options: ["drop", "unknown"],
      helpGroup: "OUTPUT",
      summary: "With --simulate: what its reports for CI systems count as a failure. The exit code is 0 all the same.",
    }),
    output: Flags.string({
      char: "o",
      options: ["records", "table", "wide", "json", "yaml", "name"],
      helpGroup: "OUTPUT",
      summary: "What to print: records (JSON Lines), else a summary of what was made (table, json, yaml), or with --simulate its report.",
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Synth);
    // The parsing of --help must not wait for the engine.
    const { checkSynthFlags, showProfile } = await import("../src/cli/synthFlags.ts");
    if (flags["show-profile"] !== undefined) return await showProfile(flags["show-profile"], flags);
    const output = checkSynthFlags(flags);
    const [{ synthTraffic }, { deliverSynth, tellNotes }] = await Promise.all([
      import("../src/cli/synthTraffic.ts"),
      import("../src/cli/deliverSynth.ts"),
    ]);
    const { simulation, ...result } = await synthTraffic({
      ...flags,
      ...liveOf(flags),
      ...policiesOf(flags),
      pcapOut: flags["pcap-out"],
      recordsOut: flags["records-out"],
      snapshotOut: flags["snapshot-out"],
      printsRecords: output === "records",
      wantsSummary: !flags.simulate && output !== undefined && output !== "records",
    });
    if (simulation === undefined) return await deliverSynth({ ...result, simulation }, output === "records" ? undefined : output);
    tellNotes(result.made);
    const { deliverSimulation } = await import("../src/cli/deliverSimulation.ts");
    const failOn = (flags["fail-on"] ?? "drop") as "drop" | "unknown";
    await deliverSimulation(simulation, { ...flags, output: output ?? "table", report: flags.report ?? [], exitZero: true, failOn });
  }
}
