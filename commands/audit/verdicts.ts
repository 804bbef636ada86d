import { Command, Flags } from "@oclif/core";
import { ignoredFlags, liveFlags, liveOf, outputFlags } from "../../src/cli/flags.ts";

export default class AuditVerdicts extends Command {
  static override summary = "Show which connections audit policies would have denied.";
  static override description =
    "Asks the broker for the records of its evaluator: connections that were seen, and what each AuditNetworkPolicy or AuditClusterNetworkPolicy that selects one of their ends would have done. Newest first. Nothing was denied: audit policies only report.\n\nThe broker gives 500 records at most; where an answer is as long as --limit, a line says so.\n\nExit codes: 0, or 2 and more for an error.";
  static override usage = "<%= command.id %> [--policy NAME] [-n NAME|-A] [flags]";
  static override examples = [
    {
      description: "What would every audit policy have denied in the last day?",
      command: "<%= config.bin %> <%= command.id %> -A --verdict WouldDeny --since 24h",
    },
    {
      description: "What of one policy's ingress?",
      command: "<%= config.bin %> <%= command.id %> --policy web -n shop --direction Ingress -o wide",
    },
  ];
  static override flags = {
    policy: Flags.string({ helpValue: "NAME", helpGroup: "WHAT", summary: "Only verdicts of the audit policies of this name." }),
    namespace: Flags.string({
      char: "n",
      helpValue: "NAME",
      helpGroup: "WHAT",
      summary:
        "Namespace of the policies; the context's by default, else default. Policies of the whole cluster are in none: -A shows them.",
    }),
    "all-namespaces": Flags.boolean({
      char: "A",
      helpGroup: "WHAT",
      summary: "Policies of every namespace, and those of the whole cluster.",
    }),
    verdict: Flags.string({ helpValue: "Allow|WouldDeny", helpGroup: "WHAT", summary: "Only this verdict." }),
    direction: Flags.string({
      helpValue: "Ingress|Egress",
      helpGroup: "WHAT",
      summary: "Only this direction, as the policy's pods see it.",
    }),
    since: Flags.string({
      helpValue: "TIME",
      helpGroup: "WHAT",
      summary: "Only from this moment on: an RFC 3339 time, or a duration back from now (30m, 24h).",
    }),
    limit: Flags.string({ default: "100", helpValue: "N", helpGroup: "WHAT", summary: "The newest so many, 1 to 500." }),
    ...liveFlags,
    output: outputFlags.output,
    ...ignoredFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AuditVerdicts);
    const { deliverVerdicts, readVerdicts } = await import("../../src/cli/auditVerdicts.ts");
    const result = await readVerdicts({ ...flags, ...liveOf(flags), allNamespaces: flags["all-namespaces"] });
    await deliverVerdicts(result, flags.output);
  }
}
