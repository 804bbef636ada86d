import { UsageError } from "./errors.ts";
import { writePieces } from "./output.ts";
import { builtinProfile } from "./trafficProfile.ts";

/** Flags by their names on the command line. */
type Given = Readonly<Record<string, unknown>>;

/** Of `simulate`: without --simulate they would be passed over silently. */
const OF_SIMULATION = ["filename", "recursive", "staged", "ignore", "report", "fail-on", "strict"] as const;
const FILES = ["pcap-out", "records-out", "snapshot-out"] as const;

/**
 * Returns what to print on standard output, as `-o` names it; undefined where a file goes there. Refuses flags that make no sense
 * together, before anything is read.
 */
export function checkSynthFlags(flags: Given): string | undefined {
  const output = flags.output as string | undefined;
  const toStdout = FILES.filter((name) => flags[name] === "-");
  if (toStdout.length > 1) throw new UsageError(`${toStdout.map((name) => `--${name}`).join(" and ")} cannot both go to standard output`);
  if (flags.simulate === true) {
    if (output === "records")
      throw new UsageError("-o records: --simulate prints its report; --records-out FILE writes the records besides");
    if (toStdout.length > 0) throw new UsageError(`--${toStdout[0]}: --simulate prints its report to standard output; give a file`);
    return output ?? "table";
  }
  const stray = OF_SIMULATION.find((name) => flags[name] !== undefined && flags[name] !== false);
  if (stray !== undefined) throw new UsageError(`--${stray} is for --simulate, which judges the traffic against policies`);
  if (output === "wide" || output === "name")
    throw new UsageError(`-o ${output} is for --simulate; what was made is told as table, json or yaml`);
  if (toStdout.length > 0 && output !== undefined)
    throw new UsageError(`-o ${output} and --${toStdout[0]} cannot both go to standard output`);
  return toStdout.length > 0 ? undefined : (output ?? "table");
}

/** Prints a built-in profile. */
export async function showProfile(name: string, flags: Given): Promise<void> {
  const stray = [...FILES, "simulate", "output"].find((each) => flags[each] !== undefined && flags[each] !== false);
  if (stray !== undefined) throw new UsageError(`--show-profile prints a profile and makes no traffic: leave --${stray} out`);
  const { safeYaml } = await import("../report/safeYaml.ts");
  await writePieces(process.stdout, [safeYaml(builtinProfile(name), 120)]);
}
