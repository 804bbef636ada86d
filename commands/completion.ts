import { Args, Command } from "@oclif/core";
import type { Shell } from "../src/cli/completion/scripts.ts";

export default class Completion extends Command {
  static override summary = "Set up shell completion, of `kubectl kguardian` and of kubectl-kguardian.";
  static override description =
    "kubectl completes the commands of a plugin by asking a second program, kubectl_complete-kguardian (kubectl 1.26 and later, with its own completion set up: `kubectl completion --help`). `install DIR` writes it, a script of three lines, into a folder on PATH. krew links only the plugin itself, so that this is needed once after `kubectl krew install`, too.\n\nWho calls kubectl-kguardian by that name loads the script of their shell instead.\n\nOffered are commands, flags and their values, and names of namespaces, contexts, workloads, pods and audit policies: those of --snapshot on the line (or of KGUARDIAN_SNAPSHOT or the configuration file), else those of the live cluster, which is asked for a second at most.";
  static override usage = ["<%= command.id %> install DIR", "<%= command.id %> bash|zsh|fish"];
  static override examples = [
    {
      description: "For `kubectl kguardian`, where kubectl's own completion works:",
      command: "<%= config.bin %> <%= command.id %> install ~/.local/bin",
    },
    { description: "For kubectl-kguardian in bash, of this shell:", command: "source <(<%= config.bin %> <%= command.id %> bash)" },
    { description: "In zsh, of every shell:", command: '<%= config.bin %> <%= command.id %> zsh > "$HOME/_kubectl-kguardian"' },
    {
      description: "In fish, of every shell:",
      command: "<%= config.bin %> <%= command.id %> fish > ~/.config/fish/completions/kubectl-kguardian.fish",
    },
  ];
  static override args = {
    what: Args.string({
      required: true,
      options: ["bash", "zsh", "fish", "install"],
      description: "Shell whose script to print, or install.",
    }),
    dir: Args.string({ description: "With install: a folder on PATH." }),
  };
  static override flags = {};

  async run(): Promise<void> {
    const { args } = await this.parse(Completion);
    const { completion } = await import("../src/cli/completion/command.ts");
    await completion(args.what as Shell | "install", args.dir);
  }
}
