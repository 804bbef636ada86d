import { Args, Command, Flags } from "@oclif/core";
import { ignoredFlags, liveOf, objectFlags } from "../../src/cli/flags.ts";

export default class AuditPromote extends Command {
  static override summary = "Print the NetworkPolicy that an audit policy becomes.";
  static override description =
    "An AuditNetworkPolicy becomes the NetworkPolicy of its name, which enforces what the audit only reported. An AuditClusterNetworkPolicy becomes one NetworkPolicy in each namespace that it selects. Labels and annotations go along.\n\nAudit policies come from -f, else from the snapshot, else from the live cluster. Nothing is applied, and the audit policy stays.\n\nExit codes: 0, or 2 and more for an error.";
  static override usage = "<%= command.id %> [NAME] [-f FILE|DIR] [flags]";
  static override examples = [
    {
      description: "Enforce an audit policy of the cluster, once `audit verdicts` shows nothing that is wanted:",
      command: "<%= config.bin %> <%= command.id %> web -n shop | kubectl apply --server-side -f -",
    },
    {
      description: "All of a folder, as files, to see first what they would drop:",
      command: "<%= config.bin %> <%= command.id %> --all -f audits/ --output-dir policies",
    },
  ];
  static override args = {
    name: Args.string({ description: "Audit policy: web, auditnetworkpolicy/web, auditclusternetworkpolicy/baseline." }),
  };
  static override flags = {
    filename: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      char: "f",
      helpValue: "FILE|DIR|-",
      helpGroup: "WHAT",
      summary: "Read audit policies from here instead of the snapshot or the cluster.",
    }),
    recursive: Flags.boolean({ char: "R", helpGroup: "WHAT", summary: "Read the directories of --filename with all below them." }),
    all: Flags.boolean({ char: "a", helpGroup: "WHAT", summary: "Every audit policy of the namespace, and those of the whole cluster." }),
    "all-namespaces": Flags.boolean({ char: "A", helpGroup: "WHAT", summary: "Every audit policy of every namespace." }),
    ...objectFlags,
    namespace: Flags.string({
      char: "n",
      helpValue: "NAME",
      helpGroup: "CLUSTER",
      summary: "Namespace of NAME and --all, and of policies that name none; the context's of a live cluster, else default. With -f, any.",
    }),
    output: Flags.string({
      char: "o",
      options: ["yaml", "json", "name"],
      default: "yaml",
      helpGroup: "OUTPUT",
      summary: "What to print.",
    }),
    "output-dir": Flags.string({
      helpValue: "DIR",
      helpGroup: "OUTPUT",
      summary: "Write a file for each policy here: all of them or none.",
    }),
    ...ignoredFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AuditPromote);
    const { deliverPromotion, promoteAudits } = await import("../../src/cli/auditPromote.ts");
    const { filename = [], snapshot = [] } = flags;
    const result = await promoteAudits({
      ...flags,
      ...liveOf(flags),
      filename,
      snapshot,
      name: args.name,
      allNamespaces: flags["all-namespaces"],
    });
    await deliverPromotion(result, { output: flags.output, outputDirectory: flags["output-dir"] });
  }
}
