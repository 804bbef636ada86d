import { UsageError } from "./errors.ts";
import { writePieces } from "./output.ts";
import { builtinProfile } from "./trafficProfile.ts";

/** Flags by their names on the command line. */
type Given = Readonly<Record<string, unknown>>;

/** What a run is for. */
export type SynthMode = "traffic" | "simulate" | "probe" | "mutate";

const MODES = ["simulate", "probe", "mutate"] as const;
/** Of the profile's traffic: probes need none, and observed traffic takes its place. */
const OF_TRAFFIC = ["profile", "seed", "duration", "rate", "start", "pcap-out", "records-out", "snapshot-out"] as const;
const OBSERVED = ["pcap", "flows"] as const;
const OF_OBSERVATION = [...OBSERVED, "flow-format", "flow-fields", "since", "until", "dns"] as const;
/** Of what judges policies: without one of the modes that do they would be passed over silently. */
const OF_POLICIES = ["filename", "recursive", "staged", "report", "strict"] as const;
const FILES = ["pcap-out", "records-out", "snapshot-out"] as const;

/**
 * Returns what to print on standard output, as `-o` names it; undefined where a file goes there. Refuses flags that make no sense
 * together, before anything is read.
 */
export function checkSynthFlags(flags: Given): string | undefined {
  const output = flags.output as string | undefined;
  const mode = modeOf(flags);
  refuseOthers(flags, mode);
  if (mode === "probe" || mode === "mutate") {
    if (output === "records") throw new UsageError(`-o records: --${mode} prints its report`);
    if (FILES.some((name) => flags[name] === "-")) throw new UsageError(`--${mode} prints its report to standard output; give a file`);
    return output ?? "table";
  }
  const toStdout = FILES.filter((name) => flags[name] === "-");
  if (toStdout.length > 1) throw new UsageError(`${toStdout.map((name) => `--${name}`).join(" and ")} cannot both go to standard output`);
  if (mode === "simulate") {
    if (output === "records")
      throw new UsageError("-o records: --simulate prints its report; --records-out FILE writes the records besides");
    if (toStdout.length > 0) throw new UsageError(`--${toStdout[0]}: --simulate prints its report to standard output; give a file`);
    return output ?? "table";
  }
  const stray = firstOf(flags, OF_POLICIES);
  if (stray !== undefined) throw new UsageError(`--${stray} is for --simulate, --probe and --mutate, which judge policies`);
  if (output === "wide" || output === "name")
    throw new UsageError(`-o ${output} is for --simulate; what was made is told as table, json or yaml`);
  if (toStdout.length > 0 && output !== undefined)
    throw new UsageError(`-o ${output} and --${toStdout[0]} cannot both go to standard output`);
  return toStdout.length > 0 ? undefined : (output ?? "table");
}

/** Returns what a run is for. Throws a UsageError where it is for two things. */
export function modeOf(flags: Given): SynthMode {
  const modes = MODES.filter((mode) => flags[mode] === true);
  if (modes.length > 1) throw new UsageError(`--${modes[0]} and --${modes[1]} answer different questions: give one of them`);
  return modes[0] ?? "traffic";
}

/** Reports whether the traffic is observed and not made. */
export function isObserved(flags: Given): boolean {
  return firstOf(flags, OBSERVED) !== undefined;
}

function refuseOthers(flags: Given, mode: SynthMode): void {
  const observed = firstOf(flags, OF_OBSERVATION);
  if (observed !== undefined && mode !== "mutate")
    throw new UsageError(`--${observed} is for --mutate, which tests traffic that was observed`);
  const made = firstOf(flags, OF_TRAFFIC);
  if (made !== undefined && mode === "probe") throw new UsageError(`--${made}: --probe makes its own connections, one at a time`);
  if (made !== undefined && isObserved(flags))
    throw new UsageError(`--${made} is for traffic that is made, and --pcap and --flows are observed`);
  if (observed !== undefined && mode === "mutate" && !isObserved(flags))
    throw new UsageError(`--${observed} is for observed traffic: give it with --pcap or --flows`);
  for (const flag of ["ignore", "fail-on"] as const)
    if (flags[flag] !== undefined && mode !== "simulate") throw new UsageError(`--${flag} is for --simulate`);
}

function firstOf<T extends string>(flags: Given, names: readonly T[]): T | undefined {
  return names.find((name) => flags[name] !== undefined && flags[name] !== false);
}

/** Prints a built-in profile. */
export async function showProfile(name: string, flags: Given): Promise<void> {
  const stray = firstOf(flags, [...MODES, ...OF_TRAFFIC, ...OF_OBSERVATION, ...OF_POLICIES, "ignore", "fail-on", "output"]);
  if (stray !== undefined) throw new UsageError(`--show-profile prints a profile and makes no traffic: leave --${stray} out`);
  const { safeYaml } = await import("../report/safeYaml.ts");
  await writePieces(process.stdout, [safeYaml(builtinProfile(name), 120)]);
}
