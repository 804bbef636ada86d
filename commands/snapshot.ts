import { Command, Flags } from "@oclif/core";
import { ignoredFlags, kubeFlags, liveOf } from "../src/cli/flags.ts";

export default class Snapshot extends Command {
  static override summary = "Save the cluster objects that the other commands need, for work without the cluster.";
  static override description =
    "Writes namespaces, nodes, pods, workloads, Services with their endpoints, and policies of every kind, each cut down to what the other commands read: no Secrets, no environment values, no annotations but those that name addresses, no managedFields. What it writes is what --snapshot reads.\n\nWith --redact names and addresses become pseudonyms, the same in every object, so that policies decide as before: for a bug report, together with the policies (give them as a further --snapshot).";
  static override usage = "<%= command.id %> [flags]";
  static override examples = [
    { description: "Save what the current context's cluster holds:", command: "<%= config.bin %> <%= command.id %> > cluster.yaml" },
    {
      description: "Cut down and redact what `kubectl get` saved, with the policies:",
      command:
        "<%= config.bin %> <%= command.id %> --redact --snapshot fixtures/shop/cluster.yaml --snapshot fixtures/shop/network-policies --file shareable.yaml",
    },
  ];
  static override flags = {
    snapshot: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: "FILE|DIR|-",
      helpGroup: "CLUSTER",
      summary: "Take these objects instead of the live cluster's.",
    }),
    namespace: Flags.string({
      char: "n",
      helpValue: "NAME",
      helpGroup: "CLUSTER",
      summary: "Namespace to ask for where the user may not list all; the context's by default.",
    }),
    ...kubeFlags,
    partial: Flags.boolean({ helpGroup: "CLUSTER", summary: "Save though policies that are in force cannot be read." }),
    redact: Flags.boolean({ helpGroup: "OUTPUT", summary: "Replace names and addresses by pseudonyms." }),
    output: Flags.string({ char: "o", options: ["yaml", "json", "name"], default: "yaml", helpGroup: "OUTPUT", summary: "What to print." }),
    file: Flags.string({ helpValue: "FILE", helpGroup: "OUTPUT", summary: "Write to a file instead of standard output." }),
    ...ignoredFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Snapshot);
    const { saveSnapshot } = await import("../src/cli/snapshot.ts");
    await saveSnapshot({
      ...liveOf(flags),
      snapshot: flags.snapshot ?? [],
      namespace: flags.namespace,
      redact: flags.redact,
      partial: flags.partial,
      output: flags.output as "yaml" | "json" | "name",
      file: flags.file,
    });
  }
}
