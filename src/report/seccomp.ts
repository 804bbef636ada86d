import { shortWorkload } from "../cluster/workloads.ts";
import { type DefaultAction, denies, type MadeProfile, type NamedWorkload } from "../generate/seccomp.ts";
import { formatDuration, formatRfc3339, type Instant } from "../net/time.ts";
import { safeYaml } from "./safeYaml.ts";
import { PLAIN_STYLE, printable, type Style, safeJson, tableLines } from "./text.ts";

/** A workload's profile with what it was made from. */
export interface WorkloadProfile {
  readonly workload: NamedWorkload;
  readonly file: string;
  readonly made: MadeProfile;
  /** Pods that the broker has a record of, and pods that there are. */
  readonly pods: { readonly seen: number; readonly known: number };
  /** When the first of its records began; undefined where none tells. */
  readonly since: Instant | undefined;
  /** What a reader must know before it is enforced, one line each. */
  readonly warnings: readonly string[];
}

export interface SeccompResult {
  readonly profiles: readonly WorkloadProfile[];
  /** Workloads without a profile, and why. */
  readonly left: readonly { readonly workload: NamedWorkload; readonly why: string }[];
  readonly defaultAction: DefaultAction;
  readonly withBaseline: boolean;
  readonly broker: string;
  /** Epoch seconds of the run. */
  readonly now: number;
  readonly warnings: readonly string[];
}

/** Where a kubelet looks for the files of Localhost profiles, unless its --root-dir says otherwise (Kubernetes: seccomp tutorial). */
const KUBELET_FOLDER = "/var/lib/kubelet/seccomp";

/** Returns what people call a workload: `shop/deploy/web`. */
export function workloadLabel({ namespace, kind, name }: NamedWorkload): string {
  return `${namespace}/${shortWorkload(`${kind}/${name}`)}`;
}

/** Returns the text of a profile's file. */
export function profileText({ made: { profile } }: WorkloadProfile): string {
  return `${safeJson(profile, 2)}\n`;
}

function timeText(time: Instant | undefined): string | null {
  return time === undefined ? null : (formatRfc3339(time.seconds, time.nanoseconds) ?? null);
}

/** Returns the result as plain data. `directory`: where the files are; undefined: nowhere, so that the profiles are in it. */
function seccompReport(result: SeccompResult, directory: string | undefined): object {
  return {
    apiVersion: "kguardian.dev/v1alpha1",
    kind: "SeccompReport",
    summary: { profiles: result.profiles.length, workloads: result.profiles.length + result.left.length },
    broker: result.broker,
    defaultAction: result.defaultAction,
    baseline: result.withBaseline,
    profiles: result.profiles.map((each) => ({
      namespace: each.workload.namespace,
      workload: `${each.workload.kind}/${each.workload.name}`,
      file: directory === undefined ? null : pathIn(directory, each.file),
      localhostProfile: each.file,
      pods: each.pods,
      since: timeText(each.since),
      observed: each.made.observed,
      added: each.made.added,
      unnamed: each.made.unnamed.map(Number),
      warnings: each.warnings,
      profile: each.made.profile,
    })),
    left: result.left.map(({ workload, why }) => ({
      namespace: workload.namespace,
      workload: `${workload.kind}/${workload.name}`,
      reason: why,
    })),
    warnings: result.warnings,
  };
}

export function seccompJson(result: SeccompResult, directory: string | undefined): string {
  return `${safeJson(seccompReport(result, directory), 2)}\n`;
}

export function seccompYaml(result: SeccompResult, directory: string | undefined): string {
  return safeYaml(seccompReport(result, directory));
}

/** Returns the files' names, one a line: profiles are no objects of the cluster. */
export function seccompNames({ profiles }: SeccompResult, directory: string | undefined): string {
  return profiles.map(({ file }) => `${directory === undefined ? file : pathIn(directory, file)}\n`).join("");
}

/** Returns every warning with the workload that it is about. */
export function seccompWarnings({ profiles, left, warnings }: SeccompResult): string[] {
  return [
    ...profiles.flatMap(({ workload, warnings: own }) => own.map((text) => `${workloadLabel(workload)}: ${text}`)),
    ...left.map(({ workload, why }) => `${workloadLabel(workload)}: no profile: ${why}`),
    ...warnings,
  ];
}

/** Warnings that a screen holds. */
const ROWS = 20;

/** Returns the summary that a person reads. `directory`: where the files are; undefined: the profiles went to standard output. */
export function seccompTable(result: SeccompResult, directory: string | undefined, wide = false, style: Style = PLAIN_STYLE): string {
  const { profiles, now } = result;
  const rows = profiles.map(({ workload, file, made, pods, since }) => [
    directory === undefined ? file : pathIn(directory, file),
    workloadLabel(workload),
    String(made.observed.length),
    String(made.added.length),
    `${pods.seen} of ${pods.known}`,
    since === undefined ? "<unknown>" : formatDuration(Math.max(0, now - since.seconds)),
    ...(wide ? [made.profile.architectures.map((name) => name.replace("SCMP_ARCH_", "")).join(",")] : []),
  ]);
  const columns = [
    { title: "PROFILE" },
    { title: "WORKLOAD" },
    { title: "SEEN", alignRight: true },
    { title: "ADDED", alignRight: true },
    { title: "PODS", alignRight: true },
    { title: "OBSERVED FOR", alignRight: true },
    ...(wide ? [{ title: "ARCHITECTURES" }] : []),
  ];
  const lines = tableLines(columns, rows);
  const warnings = seccompWarnings(result);
  if (warnings.length > 0) lines.push("", style.bad("MIND"));
  for (const warning of wide ? warnings : warnings.slice(0, ROWS)) lines.push(`  ${printable(warning)}`);
  if (!wide && warnings.length > ROWS) lines.push(`  and ${warnings.length - ROWS} more (-o wide shows them)`);
  lines.push("", ...nextLines(result, directory, style), "");
  return lines.join("\n");
}

/** What the numbers mean, and how a profile is used. */
function nextLines({ profiles, defaultAction, withBaseline }: SeccompResult, directory: string | undefined, style: Style): string[] {
  const [first] = profiles;
  if (first === undefined) return ["No profile."];
  const name = profiles.length === 1 ? first.file : "FILE";
  const files = directory === undefined ? "the profile" : profiles.length === 1 ? pathIn(directory, first.file) : `${directory}/*.json`;
  const verb = denies(defaultAction) ? "is denied" : "is allowed, and logged by the kernel";
  return [
    `Whatever a profile does not name ${verb} (${defaultAction}), also what a short observation never saw: errors, reloading, shutdown.`,
    withBaseline
      ? "ADDED are calls that were not seen and that the runtime needs to start a container, and any program to start and end."
      : "Nothing was added (--no-baseline): see that the runtime's own calls are among those seen, or no container starts.",
    style.bold(
      denies(defaultAction)
        ? "Try it first with --default-action SCMP_ACT_LOG, which denies nothing."
        : "Enforce it once nothing new is logged.",
    ),
    "",
    `Put ${printable(files)} into ${KUBELET_FOLDER}/ of every node, and into the pod template:`,
    "  securityContext:",
    "    seccompProfile:",
    "      type: Localhost",
    `      localhostProfile: ${printable(name)}`,
  ];
}

function pathIn(directory: string, file: string): string {
  return `${directory.replace(/(?<=.)\/+$/, "")}/${file}`.replace(/^\/\//, "/");
}
