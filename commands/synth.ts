import { Command, Flags } from "@oclif/core";
import { clusterOnlyFlags, ignoredFlags, liveOf, outputFlags, policiesOf, policyFlags, trafficFlags, trafficOf } from "../src/cli/flags.ts";

export default class Synth extends Command {
  static override summary =
    "Make synthetic traffic for a cluster from a seed, probe the edges of policies, or test traffic by changing them.";
  static override description =
    "Makes connections between the pods, Services and nodes of a snapshot, and with the outside, as a profile says: who calls whom, when, how much is said, and how it ends. The same seed gives the same bytes. Records and capture of one run tell the same connections; --simulate judges them at once as `simulate` would judge the records.\n\n--probe asks about connections just inside and just outside of every rule, and tells what policies leave open, say twice or forget; --mutate makes every small change to the policies and tells which of them the traffic would not show (docs/probes.md).\n\nProfiles are small YAML files (docs/synth.md); --show-profile prints a built-in one to start from: microservices, web, database, batch, dns, burst, scan, lateral-movement, failover, partition, dual-stack. Never exits with 1: nothing that was made up is a finding.";
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
      description: "What do these policies leave open, say twice, or forget?",
      command: "<%= config.bin %> <%= command.id %> --probe --snapshot fixtures/shop/cluster.yaml -f fixtures/shop/network-policies",
    },
    {
      description: "Which mistakes in these policies would this capture not show?",
      command:
        "<%= config.bin %> <%= command.id %> --mutate --snapshot fixtures/shop/cluster.yaml -f fixtures/shop/network-policies --pcap fixtures/shop/monday.pcapng",
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
      summary: "What traffic to make: a built-in profile (microservices by default), or a TrafficProfile in a file.",
    }),
    "show-profile": Flags.string({
      helpValue: "NAME",
      helpGroup: "TRAFFIC",
      summary: "Print a built-in profile as YAML, and do nothing else.",
    }),
    seed: Flags.string({ helpValue: "N", helpGroup: "TRAFFIC", summary: "What all random choices are made from; 1 by default." }),
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
    probe: Flags.boolean({
      helpGroup: "POLICIES",
      summary: "Probe the edges of every rule in place of making traffic: what its author would not expect, and what policies leave open.",
    }),
    mutate: Flags.boolean({
      helpGroup: "POLICIES",
      summary:
        "Make every small change to the policies and tell which of them the traffic would not show: that of --pcap and --flows, else of the profile.",
    }),
    pcap: trafficFlags.pcap,
    flows: trafficFlags.flows,
    "flow-format": trafficFlags["flow-format"],
    "flow-fields": trafficFlags["flow-fields"],
    since: trafficFlags.since,
    until: trafficFlags.until,
    dns: trafficFlags.dns,
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
    const { checkSynthFlags, isObserved, modeOf, showProfile } = await import("../src/cli/synthFlags.ts");
    if (flags["show-profile"] !== undefined) return await showProfile(flags["show-profile"], flags);
    const output = checkSynthFlags(flags);
    const mode = modeOf(flags);
    const given = { ...flags, ...liveOf(flags), ...trafficOf(flags), ...policiesOf(flags) };
    // Nothing that was made up is a finding.
    const delivery = { ...flags, output: output ?? "table", report: flags.report ?? [], exitZero: true };
    if (mode === "probe" || mode === "mutate") {
      // A misspelt report must not cost the result.
      const { FINDING_FORMATS, parseReports } = await import("../src/cli/deliver.ts");
      parseReports(delivery.report, FINDING_FORMATS);
    }
    if (mode === "probe") {
      const { synthProbes } = await import("../src/cli/synthProbes.ts");
      const { deliverProbes } = await import("../src/cli/deliverProbes.ts");
      await deliverProbes(await synthProbes(given), delivery);
      return;
    }
    if (mode === "mutate" && isObserved(flags)) {
      const { synthMutations } = await import("../src/cli/synthMutations.ts");
      const { deliverMutations } = await import("../src/cli/deliverMutations.ts");
      await deliverMutations(await synthMutations(given), delivery);
      return;
    }
    const [{ synthTraffic }, { deliverSynth, tellNotes }] = await Promise.all([
      import("../src/cli/synthTraffic.ts"),
      import("../src/cli/deliverSynth.ts"),
    ]);
    const result = await synthTraffic({
      ...given,
      profile: flags.profile ?? "microservices",
      seed: flags.seed ?? "1",
      simulate: mode !== "traffic",
      pcapOut: flags["pcap-out"],
      recordsOut: flags["records-out"],
      snapshotOut: flags["snapshot-out"],
      printsRecords: output === "records",
      wantsSummary: mode === "traffic" && output !== undefined && output !== "records",
    });
    const { judged } = result;
    if (judged === undefined) return await deliverSynth(result, output === "records" ? undefined : output);
    tellNotes(result.made);
    if (mode === "mutate") {
      const { mutateWith } = await import("../src/cli/synthMutations.ts");
      const { deliverMutations } = await import("../src/cli/deliverMutations.ts");
      await deliverMutations(mutateWith(judged.prepared, judged.observation, judged.simulation), delivery);
      return;
    }
    const { deliverSimulation } = await import("../src/cli/deliverSimulation.ts");
    const failOn = (flags["fail-on"] ?? "drop") as "drop" | "unknown";
    await deliverSimulation(judged.simulation, { ...delivery, failOn });
  }
}
