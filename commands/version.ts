import { Command, Flags } from "@oclif/core";
import { VERSION } from "../src/cli/version.ts";

export default class Version extends Command {
  static override summary = "Print the version.";
  static override usage = "<%= command.id %> [-o text|json|yaml]";
  static override examples = [
    { description: "Which version is this?", command: "<%= config.bin %> <%= command.id %>" },
    { description: "For a script, with the Node that it runs on:", command: "<%= config.bin %> <%= command.id %> -o json" },
  ];
  static override flags = {
    output: Flags.string({ char: "o", options: ["text", "json", "yaml"], default: "text", summary: "What to print." }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Version);
    const { platform, arch, versions } = process;
    if (flags.output === "json")
      this.log(JSON.stringify({ version: VERSION, node: versions.node, platform: `${platform}/${arch}` }, undefined, 2));
    else if (flags.output === "yaml") this.log(`version: ${VERSION}\nnode: ${versions.node}\nplatform: ${platform}/${arch}`);
    else this.log(`kubectl-kguardian ${VERSION} (node ${versions.node}, ${platform}/${arch})`);
  }
}
