import { Args, Command, Flags } from "@oclif/core";
import { clusterOnlyFlags, liveOf, outputFlags, policiesOf, policyFlags, trafficFlags } from "../src/cli/flags.ts";
import { CNI_NAMES } from "../src/evaluate/profile.ts";

export default class Test extends Command {
  static override summary = "Hold policies against what they are expected to allow and deny.";
  static override description =
    "A PolicyTest names connections and the verdict that policies are to have for them: from web to db on 5432 allow, from anything else deny. An expectation holds only where it holds for every pair of ends and every port that it names; what contradicts it is listed with the policy and rule that decide. It is worked out from the policies and labels, exactly and not by samples, without any traffic.\n\nA test may name its own policies and cluster objects, as paths told from its file; flags go before them. Several tests may stand in a file, and FILE may be a directory or `-`. docs/policy-tests.md has the format.\n\nExit codes: 0 every expectation holds, 1 one fails, 2 or more an error.";
  static override usage = "<%= command.id %> FILE... [flags]";
  static override examples = [
    {
      description: "Do the policies of a three-tier application do what they are meant to?",
      command: "<%= config.bin %> <%= command.id %> fixtures/policy-tests/three-tiers/test.yaml",
    },
    {
      description: "Would these other policies do so, too?",
      command:
        "<%= config.bin %> <%= command.id %> fixtures/policy-tests/three-tiers/test.yaml -f fixtures/policy-tests/three-tiers/policies-with-a-mistake",
    },
    {
      description: "Every test below a directory, with a report for the CI system:",
      command: "<%= config.bin %> <%= command.id %> -R fixtures/policy-tests --report junit=policy-tests.xml",
    },
  ];
  // More files may follow the first.
  static override strict = false;
  static override args = {
    file: Args.string({ required: true, description: "File, directory or `-` with PolicyTests; several may be given." }),
  };
  static override flags = {
    ...clusterOnlyFlags,
    offline: trafficFlags.offline,
    ...policyFlags,
    recursive: Flags.boolean({
      char: "R",
      helpGroup: "POLICIES",
      summary: "Read directories, of FILE and of --filename, with all below them.",
    }),
    // What is not given is what the test says.
    "policy-mode": Flags.string({
      options: ["overlay", "replace"],
      helpGroup: "POLICIES",
      summary: `${policyFlags["policy-mode"].summary} Without it as the test says, else overlay.`,
    }),
    cni: Flags.string({
      options: ["auto", ...CNI_NAMES],
      helpGroup: "POLICIES",
      summary: "Network plugin whose enforcement is imitated; auto infers it from the snapshot. Without it as the test says, else auto.",
    }),
    ...outputFlags,
    output: Flags.string({
      char: "o",
      options: ["table", "wide", "json", "yaml", "markdown", "name"],
      default: "table",
      helpGroup: "OUTPUT",
      summary: "What to print; name prints the tests of which an expectation fails.",
    }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Test);
    // The parsing of --help must not wait for the engine.
    const { FINDING_FORMATS, parseReports } = await import("../src/cli/deliver.ts");
    const { report = [] } = flags;
    // A misspelt report is refused before a cluster is asked.
    parseReports(report, FINDING_FORMATS);
    const [{ policyTest }, { deliverPolicyTest }] = await Promise.all([
      import("../src/cli/policyTest.ts"),
      import("../src/cli/deliverPolicyTest.ts"),
    ]);
    const result = await policyTest({
      ...flags,
      ...liveOf(flags),
      ...policiesOf(flags),
      policyMode: flags["policy-mode"] as "overlay" | "replace" | undefined,
      files: argv as string[],
    });
    process.exitCode = await deliverPolicyTest(result, { ...flags, report, exitZero: flags["exit-zero"] });
  }
}
