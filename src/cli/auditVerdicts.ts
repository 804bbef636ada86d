import { plural } from "../net/number.ts";
import { compareInstants, secondsOf } from "../net/time.ts";
import type { AuditVerdict } from "../policy/auditVerdict.ts";
import {
  cutText,
  MOST_VERDICTS,
  type VerdictsResult,
  verdictsJson,
  verdictsNames,
  verdictsTable,
  verdictsYaml,
} from "../report/auditVerdicts.ts";
import { printable } from "../report/text.ts";
import { tellWarnings } from "./damage.ts";
import { deliver, isTable } from "./deliver.ts";
import { UsageError } from "./errors.ts";
import { readMoment } from "./moment.ts";
import { type LiveFlags, openBrokerOnly } from "./sources.ts";

export interface VerdictsFlags extends LiveFlags {
  readonly policy: string | undefined;
  readonly namespace: string | undefined;
  readonly allNamespaces: boolean;
  readonly verdict: string | undefined;
  readonly direction: string | undefined;
  readonly since: string | undefined;
  readonly limit: string;
}

/** The broker wants these as they are written here. */
const VERDICTS = ["Allow", "WouldDeny"];
const DIRECTIONS = ["Ingress", "Egress"];

/** `audit verdicts`: what the broker's evaluator found that audit policies would deny, newest first. */
export async function readVerdicts(flags: VerdictsFlags): Promise<VerdictsResult> {
  const verdict = chosen("--verdict", flags.verdict, VERDICTS);
  const direction = chosen("--direction", flags.direction, DIRECTIONS);
  const limit = readLimit(flags.limit);
  const now = Date.now() / 1000;
  const since = flags.since === undefined ? undefined : await readMoment("--since", flags.since, { name: "now", seconds: () => now });
  if (flags.policy?.includes("/")) throw new UsageError(`--policy: \`${flags.policy}\`: give the name alone, and its namespace with -n`);
  if (flags.allNamespaces && flags.namespace !== undefined) throw new UsageError("-n and -A exclude each other");
  const { client, live } = await openBrokerOnly(flags);
  const namespace = flags.allNamespaces ? undefined : (flags.namespace ?? live?.namespace ?? (await contextsNamespace(flags)));
  const version = await client.version();
  // What is left out here must not use up the limit.
  const asked = since === undefined ? limit : MOST_VERDICTS;
  const query = {
    ...(flags.policy === undefined ? {} : { policy: flags.policy }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(verdict === undefined ? {} : { verdict }),
    ...(direction === undefined ? {} : { direction }),
    limit: String(asked),
  };
  const { rows, rejected } = await client.auditVerdicts(query);
  const bad = Object.values(rejected).reduce((sum, count) => sum + count, 0);
  const warnings = Object.entries(rejected).map(
    ([reason, count]) => `${plural(count, "record")} of the broker could not be used: ${reason}`,
  );
  if (version.mismatch !== undefined) warnings.push(`the broker (${client.name}): ${version.mismatch}`);
  // What was asked for is looked at again: a broker that knows no such filter would show others' under this namespace.
  const meant = rows.filter(
    (row) =>
      (flags.policy === undefined || row.policyName === flags.policy) &&
      (namespace === undefined || row.policyNamespace === namespace) &&
      (verdict === undefined || row.verdict === verdict) &&
      (direction === undefined || row.direction === direction),
  );
  const within = meant.filter(({ time }) => since === undefined || (time !== undefined && secondsOf(time) >= since));
  const timeless = since === undefined ? 0 : meant.filter(({ time }) => time === undefined).length;
  if (timeless > 0) warnings.push(`${plural(timeless, "record")} without a time ${timeless === 1 ? "was" : "were"} left out by --since`);
  const verdicts = newestFirst(within).slice(0, limit);
  // An answer that goes back beyond --since is whole as far as it matters.
  const isFull = rows.length + bad >= asked && within.length + timeless === meant.length;
  return { verdicts, namespace, limit, mayBeCut: isFull || within.length > limit, now, warnings };
}

function newestFirst(rows: readonly AuditVerdict[]): AuditVerdict[] {
  const at = ({ time }: AuditVerdict) => time ?? { seconds: -1, nanoseconds: 0 };
  return rows.toSorted((a, b) => compareInstants(at(b), at(a)));
}

/** Returns the word as the broker has it, whatever its case and hyphens. */
function chosen(flag: string, text: string | undefined, known: readonly string[]): string | undefined {
  if (text === undefined) return undefined;
  const plain = text.toLowerCase().replace(/[-_ ]/g, "");
  const found = known.find((word) => word.toLowerCase() === plain);
  if (found === undefined) throw new UsageError(`${flag}: \`${text}\` is neither ${known.join(" nor ")}`);
  return found;
}

function readLimit(text: string): number {
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MOST_VERDICTS)
    throw new UsageError(`--limit: \`${text}\` is no number from 1 to ${MOST_VERDICTS}, which is the most that the broker gives`);
  return limit;
}

/** As kubectl: the context's namespace, else `default`. */
async function contextsNamespace(flags: VerdictsFlags): Promise<string> {
  const { contextNamespace, hasClusterConfiguration, loadKubeConfig } = await import("../live/kubeConfig.ts");
  const { kubeconfig, context } = flags;
  return (hasClusterConfiguration({ kubeconfig }) ? contextNamespace(loadKubeConfig({ kubeconfig, context })) : undefined) ?? "default";
}

const NONE_HINT = "an audit policy is judged once connections of the pods that it selects are recorded";

/** Prints verdicts; that there are none is said on standard error, as kubectl does. */
export async function deliverVerdicts(result: VerdictsResult, output: string): Promise<void> {
  const { namespace, verdicts } = result;
  const isEmptyTable = isTable(output) && verdicts.length === 0;
  // The table shows verdicts alone.
  tellWarnings(result.warnings);
  await deliver(
    {
      outputs: {
        table: () => [verdictsTable(result, false)],
        wide: () => [verdictsTable(result, true)],
        json: () => [verdictsJson(result)],
        yaml: () => [verdictsYaml(result)],
        name: () => [verdictsNames(result)],
      },
      warnings: result.mayBeCut ? [cutText(result.limit)] : [],
      ...(isEmptyTable ? { aside: noneText(namespace) } : {}),
    },
    { output },
  );
}

function noneText(namespace: string | undefined): string {
  const hint = namespace === undefined ? NONE_HINT : `-A looks in all namespaces and at policies of the whole cluster; ${NONE_HINT}`;
  return `No verdicts found${namespace === undefined ? "" : ` of policies in namespace ${printable(namespace)}`}: ${hint}.\n`;
}
