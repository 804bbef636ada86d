import { BIN, type CommandManifest, type DescribedCommand, type DescribedFlag, filledIn } from "./manifest.ts";

/** The group of flags that name none. */
const OTHER = "";

/** Returns the command reference in Markdown: what `--help` says, of every command. */
export function commandReference(manifest: CommandManifest): string {
  const commands = Object.values(manifest).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const lines = [
    "# Commands",
    "",
    "Made from the program's own help by `npm run docs`; do not edit.",
    "",
    "| command | |",
    "|---|---|",
    ...commands.map(({ id, summary = "" }) => `| [\`${nameOf(id)}\`](#${anchorOf(id)}) | ${cell(summary)} |`),
    "",
    "Exit codes: 0 nothing found, 1 something found, 2 or more an error. Defaults may come from variables and a file: [config.md](config.md).",
    "",
    ...commands.flatMap(commandLines),
  ];
  return `${lines.join("\n").trimEnd()}\n`;
}

function commandLines(command: DescribedCommand): string[] {
  const { id, aliases, summary = "", description = "", usage = [], args } = command;
  const usages = [usage].flat().map((line) => `${BIN} ${filledIn(line, id)}`);
  const shownArguments = Object.values(args).filter(({ description: text }) => text !== undefined);
  return [
    `## ${nameOf(id)}`,
    "",
    summary,
    "",
    "```",
    ...(usages.length === 0 ? [`${BIN} ${nameOf(id)} [flags]`] : usages),
    "```",
    "",
    ...(aliases.length === 0 ? [] : [`Also: ${aliases.map((alias) => `\`${nameOf(alias)}\``).join(", ")}.`, ""]),
    ...description.split("\n\n").flatMap((paragraph) => (paragraph === "" ? [] : [paragraph, ""])),
    ...(shownArguments.length === 0
      ? []
      : [
          "| argument | |",
          "|---|---|",
          ...shownArguments.map((each) => `| \`${each.name.toUpperCase()}\` | ${cell(each.description ?? "")} |`),
          "",
        ]),
    ...flagLines(command),
    ...exampleLines(command),
  ];
}

function flagLines({ flags }: DescribedCommand): string[] {
  const shown = Object.values(flags).filter(({ hidden }) => hidden !== true);
  const groups = Map.groupBy(shown, ({ helpGroup = OTHER }) => helpGroup);
  return [...groups].flatMap(([group, own]) => [
    `| ${group === OTHER ? "" : `${group.toLowerCase()} `}flag | |`,
    "|---|---|",
    ...own.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map((flag) => `| \`${label(flag)}\` | ${flagText(flag)} |`),
    "",
  ]);
}

function label({ name, char, type, helpValue, allowNo, multiple }: DescribedFlag): string {
  const long = `--${allowNo === true ? "[no-]" : ""}${name}`;
  const value = type === "boolean" ? "" : `=${(helpValue ?? "VALUE").replaceAll("|", "\\|")}`;
  return `${char === undefined ? "" : `-${char}, `}${long}${value}${multiple === true ? " ..." : ""}`;
}

function flagText({ summary = "", options, default: fallback, env }: DescribedFlag): string {
  const facts = [
    ...(options === undefined ? [] : [`one of ${options.map((option) => `\`${option}\``).join(", ")}`]),
    ...(typeof fallback === "string" ? [`default \`${fallback}\``] : []),
    ...(env === undefined ? [] : [`also \`${env}\``]),
  ];
  return `${cell(summary)}${facts.length === 0 ? "" : ` (${facts.join("; ")})`}`;
}

function exampleLines({ id, examples = [] }: DescribedCommand): string[] {
  return examples.flatMap(({ description, command }) => [description, "", "```", filledIn(command, id), "```", ""]);
}

function nameOf(id: string): string {
  return id.replaceAll(":", " ");
}

function anchorOf(id: string): string {
  return nameOf(id).replaceAll(" ", "-");
}

/** Bars part the cells of a table. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
