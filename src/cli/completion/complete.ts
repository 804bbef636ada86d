import { printable } from "../../report/text.ts";
import { type CommandManifest, commandNames, type DescribedCommand, type DescribedFlag, TOPICS } from "../manifest.ts";
import { type Asked, type Given, readLine } from "./line.ts";

/** A word that may stand where the cursor is. */
export interface Candidate {
  readonly value: string;
  readonly description?: string;
}

/** What shells do besides, as bits (cobra: ShellCompDirective, which kubectl hands on to the shell's script). */
export const DIRECTIVES = { default: 0, error: 1, noSpace: 2, noFiles: 4, onlyFolders: 16, keepOrder: 32 } as const;

export interface Completion {
  readonly candidates: readonly Candidate[];
  /** Bits of `DIRECTIVES`. With `default`, files are offered where there are no candidates. */
  readonly directive: number;
}

/** Names that only a cluster, a snapshot, a kubeconfig or a list of this program knows. */
export type NameKind =
  | "namespaces"
  | "contexts"
  /** `deploy/web` and pods of the line's namespace. */
  | "workloads"
  /** Whatever `explain` takes. */
  | "endpoints"
  /** Workloads of every namespace: `shop/deploy/web`. */
  | "everyWorkload"
  | "auditPolicies"
  | "brokerServices"
  | "profiles"
  | "seccompActions"
  | "reportFormats";

/** Where names are looked for. */
export interface Wanted {
  readonly command: DescribedCommand;
  readonly given: Given;
  readonly flag?: DescribedFlag;
}

/** Returns names of a kind, whatever is typed; empty where they are not known. Never rejects. */
export type LookUp = (kind: NameKind, wanted: Wanted) => Promise<readonly Candidate[]>;

/** What a value may be. */
type Choice =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "names"; readonly of: NameKind; readonly orFiles?: true }
  | { readonly kind: "files"; readonly orWords?: readonly string[] }
  | { readonly kind: "folders" }
  | { readonly kind: "free" };

const FREE: Choice = { kind: "free" };
const FILES: Choice = { kind: "files" };

/** Flags of which the name says what they take, in every command. */
const VALUES: Readonly<Record<string, Choice>> = {
  namespace: { kind: "names", of: "namespaces" },
  "broker-namespace": { kind: "names", of: "namespaces" },
  "broker-service": { kind: "names", of: "brokerServices" },
  context: { kind: "names", of: "contexts" },
  focus: { kind: "names", of: "everyWorkload" },
  policy: { kind: "names", of: "auditPolicies" },
  profile: { kind: "names", of: "profiles", orFiles: true },
  "show-profile": { kind: "names", of: "profiles" },
  "default-action": { kind: "names", of: "seccompActions" },
  report: { kind: "names", of: "reportFormats", orFiles: true },
};

const WORKLOAD: Choice = { kind: "names", of: "workloads" };
const ENDPOINT: Choice = { kind: "names", of: "endpoints" };
const POLICIES: Choice = { kind: "files", orWords: ["cluster"] };

/** What the arguments of commands are, one after the other. */
const ARGUMENTS: Readonly<Record<string, readonly Choice[]>> = {
  "audit:promote": [{ kind: "names", of: "auditPolicies" }],
  completion: [FREE, { kind: "folders" }],
  diff: [POLICIES, POLICIES],
  explain: [ENDPOINT, ENDPOINT],
  "gen:networkpolicy": [WORKLOAD],
  "gen:seccomp": [WORKLOAD],
  test: [FILES],
};

/** What could hold more than a word is not offered: shells' scripts would take it apart, or run it. */
const IS_WORD = /^[\w/@-][\w.:/@=+,%-]*$/;

/**
 * Completes a command line. `words` are those after the program's name; the last one, which may be empty, is being typed. What a command
 * takes is in the manifest; names are looked up.
 */
export async function complete(words: readonly string[], manifest: CommandManifest, lookUp: LookUp): Promise<Completion> {
  const asked = readLine(words, manifest);
  const { candidates, directive } = await offered(asked, manifest, lookUp);
  const fitting = candidates.filter(({ value }) => value.startsWith(asked.prefix) && IS_WORD.test(value));
  // More is to come after a part of a name.
  const isPart = fitting.length > 0 && fitting.every(({ value }) => /[/=]$/.test(value));
  return { candidates: fitting, directive: isPart ? directive | DIRECTIVES.noSpace : directive };
}

async function offered(asked: Asked, manifest: CommandManifest, lookUp: LookUp): Promise<Completion> {
  switch (asked.kind) {
    case "nothing":
      return { candidates: [], directive: DIRECTIVES.noFiles };
    case "command":
      return { candidates: commandsAt(asked, manifest), directive: DIRECTIVES.noFiles };
    case "flag":
      return { candidates: flagsOf(asked.command, asked.given), directive: DIRECTIVES.noFiles };
    case "value":
      return await offer(choiceOf(asked.flag), asked, lookUp);
    case "argument": {
      const options = Object.values(asked.command.args)[asked.position]?.options;
      const choices = ARGUMENTS[asked.command.id] ?? [];
      // The last argument of some may be given again.
      const choice = choices[asked.position] ?? (asked.command.strict === false ? choices.at(-1) : undefined);
      if (asked.command.id === "completion" && asked.position === 1 && asked.before[0] !== "install")
        return await offer(FREE, asked, lookUp);
      return await offer(options !== undefined ? { kind: "words", words: options } : (choice ?? FREE), asked, lookUp);
    }
  }
}

function commandsAt({ topic, isHelp, prefix }: Extract<Asked, { kind: "command" }>, manifest: CommandManifest): Candidate[] {
  if (topic === undefined && !isHelp && prefix.startsWith("-"))
    return [
      { value: "--help", description: "Show help." },
      { value: "--version", description: "Print the version." },
    ];
  const found = [...commandNames(manifest)].flatMap(([name, id]) => {
    const [first, second] = name.split(" ");
    const summary = manifest[id].summary;
    if (topic === undefined) return second === undefined ? [candidate(first, summary)] : [];
    return first === topic && second !== undefined ? [candidate(second, summary)] : [];
  });
  if (topic !== undefined) return found;
  const topics = TOPICS.map(({ name, description }) => candidate(name, description));
  return [...found, ...topics, ...(isHelp ? [] : [candidate("help", "Show help for a command.")])].sort((a, b) =>
    a.value < b.value ? -1 : 1,
  );
}

/** Flags that are given already are left out, but for those that may be given again. */
function flagsOf({ flags }: DescribedCommand, given: Given): Candidate[] {
  const own = Object.values(flags).filter(({ name, hidden, multiple }) => hidden !== true && (multiple === true || !given.has(name)));
  return [
    ...own.flatMap(({ name, summary, allowNo }) => [
      candidate(`--${name}`, summary),
      ...(allowNo === true ? [candidate(`--no-${name}`, summary)] : []),
    ]),
    ...own.flatMap(({ char, summary }) => (char === undefined ? [] : [candidate(`-${char}`, summary)])),
    candidate("--help", "Show help."),
  ];
}

/** What a flag takes: what its name says, else its options, else what help shows in place of its value. */
function choiceOf({ name, options, type, helpValue = "" }: DescribedFlag): Choice {
  if (Object.hasOwn(VALUES, name)) return VALUES[name];
  if (options !== undefined) return { kind: "words", words: options };
  if (type === "boolean") return FREE;
  const words = helpValue.split("|");
  if (words.length > 1 && words.every((word) => /[a-z]/.test(word))) return { kind: "words", words };
  if (words.includes("FILE")) return FILES;
  return helpValue === "DIR" ? { kind: "folders" } : FREE;
}

async function offer(choice: Choice, wanted: Wanted & { readonly prefix: string }, lookUp: LookUp): Promise<Completion> {
  switch (choice.kind) {
    case "words":
      return { candidates: choice.words.map((value) => ({ value })), directive: DIRECTIVES.noFiles };
    case "names":
      return { candidates: await lookUp(choice.of, wanted), directive: choice.orFiles ? DIRECTIVES.default : DIRECTIVES.noFiles };
    case "files":
      return {
        candidates: (wanted.prefix === "" ? [] : (choice.orWords ?? [])).map((value) => ({ value })),
        directive: DIRECTIVES.default,
      };
    case "folders":
      return { candidates: [], directive: DIRECTIVES.onlyFolders };
    case "free":
      return { candidates: [], directive: DIRECTIVES.noFiles };
  }
}

/** The first sentence is enough beside a word. */
function candidate(value: string, text: string | undefined): Candidate {
  const [first] = (text ?? "").split(/(?<=\.)\s|[;:]\s/);
  return first === "" ? { value } : { value, description: first };
}

/** Returns an answer as cobra's scripts read it: a line a candidate, its description after a tab, and the directive. */
export function cobraText({ candidates, directive }: Completion): string {
  const lines = candidates.map(({ value, description }) => (description === undefined ? value : `${value}\t${printable(description)}`));
  return [...lines, `:${directive}`, ""].join("\n");
}
