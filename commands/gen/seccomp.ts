import { Args, Command, Flags } from "@oclif/core";
import { clusterFlags, ignoredFlags, liveOf, workloadFlags } from "../../src/cli/flags.ts";

export default class GenSeccomp extends Command {
  static override summary = "Write seccomp profiles from the system calls that the broker observed.";
  static override description =
    "Makes one profile a workload: it allows what any of the workload's pods was seen to call, and nothing else. Pods come from the snapshot or the live cluster and from what the broker still knows; all containers of a pod count together.\n\nContainers start under the profile only with what the container runtime itself calls after it loaded the filter, and with what any program calls to start and end. A recorder seldom sees these, so they are added as a rule of their own; --no-baseline leaves them out.\n\nOnly the machines' own architectures are allowed, unlike in the runtimes' default profiles: calls of 32-bit programs on 64-bit machines were not recorded as such, so such programs are killed.\n\nExit codes: 0, or 2 and more for an error.";
  static override usage = "<%= command.id %> [NAME|KIND/NAME] [--broker-url URL] [flags]";
  static override examples = [
    {
      description: "A profile of one workload, written to seccomp/, that logs what it would deny:",
      command: "<%= config.bin %> <%= command.id %> deploy/web -n shop --default-action SCMP_ACT_LOG",
    },
    {
      description: "The profile of whatever made a pod, to standard output:",
      command: '<%= config.bin %> <%= command.id %> pod/web-0 -n shop --output-dir=""',
    },
    {
      description: "Profiles of every workload of every namespace, from a broker and a snapshot, for a script:",
      command: "<%= config.bin %> <%= command.id %> -A --broker-url http://127.0.0.1:9090 --snapshot snapshot.yaml -o json",
    },
  ];
  static override args = {
    name: Args.string({ description: "Workload or pod: web, deploy/web, pod/web-0." }),
  };
  static override flags = {
    ...clusterFlags,
    namespace: Flags.string({
      char: "n",
      helpValue: "NAME",
      helpGroup: "CLUSTER",
      summary: "Namespace of NAME and --all; the context's of a live cluster, else default.",
    }),
    ...workloadFlags,
    "default-action": Flags.string({
      default: "SCMP_ACT_ERRNO",
      helpValue: "ACTION",
      helpGroup: "PROFILES",
      summary:
        "What becomes of other calls: SCMP_ACT_ERRNO, SCMP_ACT_LOG (allowed and logged), SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_TRAP.",
    }),
    baseline: Flags.boolean({
      allowNo: true,
      default: true,
      helpGroup: "PROFILES",
      summary: "Also allow what the container runtime and any program need to start.",
    }),
    "output-dir": Flags.string({
      default: "seccomp",
      helpValue: "DIR",
      helpGroup: "OUTPUT",
      summary: 'Where files are written; "" prints the profiles instead.',
    }),
    output: Flags.string({
      char: "o",
      options: ["table", "wide", "json", "yaml", "name"],
      default: "table",
      helpGroup: "OUTPUT",
      summary: "What to print of the result.",
    }),
    strict: Flags.boolean({ helpGroup: "OUTPUT", summary: "Treat records that could not be used as an error." }),
    ...ignoredFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GenSeccomp);
    const { deliverSeccomp, generateSeccomp } = await import("../../src/cli/seccomp.ts");
    const { snapshot = [] } = flags;
    const result = await generateSeccomp({
      ...flags,
      ...liveOf(flags),
      snapshot,
      name: args.name,
      allNamespaces: flags["all-namespaces"],
      defaultAction: flags["default-action"],
    });
    await deliverSeccomp(result, { output: flags.output, outputDirectory: flags["output-dir"] });
  }
}
