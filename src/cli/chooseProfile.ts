import type { CniGuess } from "../cluster/cni.ts";
import { dialectOf } from "../evaluate/honoured.ts";
import { CNI_NAMES, type CniName, type CniProfile, profileOf } from "../evaluate/profile.ts";
import type { PolicyRef, PolicySet } from "../policy/model.ts";
import { UsageError } from "./errors.ts";

/** The plugin whose enforcement is imitated, and why. */
export interface ChosenProfile {
  readonly profile: CniProfile;
  /** Completes "CNI calico (…)". */
  readonly because: string;
  readonly warnings: readonly string[];
}

/** Plugins that honour the policies of a group that is not evaluated. */
const HONOURED_BY: Readonly<Record<string, CniName>> = {
  "crd.antrea.io": "antrea",
  "k8s.ovn.org": "ovn-kubernetes",
  "network.openshift.io": "ovn-kubernetes",
  "networking.k8s.aws": "aws",
};

/** Flow logs that one plugin alone writes, with what they are called. */
const WRITTEN_BY: Readonly<Record<string, readonly [CniName, string]>> = {
  hubble: ["cilium", "Hubble"],
  "calico-flowlog": ["calico", "Calico"],
  "calico-goldmane": ["calico", "Goldmane"],
  "calico-whisker": ["calico", "Whisker"],
  antrea: ["antrea", "Antrea's flow exporter"],
  eks: ["aws", "the agent of AWS's plugin"],
};

/** What the plugin may be told from, besides the policies. */
export interface CniEvidence {
  readonly guess: CniGuess;
  /** Formats of the inputs. */
  readonly formats: readonly string[];
}

/**
 * Chooses the plugin: as --cni says, else as the snapshot shows, else as the flow logs or the policies themselves tell. Policies that
 * would count under it and cannot be evaluated are refused; under another they are named.
 */
export function chooseProfile(
  flag: string,
  { guess: shown, formats }: CniEvidence,
  set: PolicySet,
  unevaluated: readonly PolicyRef[],
): ChosenProfile {
  const guess = shown.name === "generic" ? (guessFromLogs(formats) ?? shown) : shown;
  const { name, because, warnings } = choose(flag, guess, set);
  const profile = profileOf(name, name === guess.name ? guess.settings : {});
  const groupOf = ({ apiVersion }: PolicyRef) => apiVersion.replace(/\/.*/, "");
  for (const ref of unevaluated) {
    // Where nothing says which plugin runs, it may be the one that knows the policy.
    const isGuess = flag === "auto" && name === "generic";
    if (HONOURED_BY[groupOf(ref)] !== name && !isGuess) continue;
    throw new UsageError(
      `${ref.file === undefined ? "" : `${ref.file}:${ref.line}: `}${ref.kind}.${groupOf(ref)} ${ref.name} is not evaluated by this version: a verdict ${isGuess ? "" : `under ${name} `}that left it out would be wrong${isGuess ? " (give --cni where another plugin runs)" : ""}`,
    );
  }
  const ignored = unevaluated.map((ref) => `${ref.kind}.${groupOf(ref)} ${ref.name} is ignored: ${name} does not know it`);
  return { profile, because, warnings: [...warnings, ...ignored] };
}

function guessFromLogs(formats: readonly string[]): CniGuess | undefined {
  const writers = formats.flatMap((format) => (WRITTEN_BY[format] === undefined ? [] : [WRITTEN_BY[format]]));
  const [first] = writers;
  if (first === undefined || writers.some(([name]) => name !== first[0])) return undefined;
  return { name: first[0], because: `the flow log is of ${first[1]}`, settings: {}, warnings: [] };
}

function choose(flag: string, guess: CniGuess, { policies }: PolicySet): { name: CniName; because: string; warnings: readonly string[] } {
  if (flag !== "auto") return { name: CNI_NAMES.find((each) => each === flag) ?? "generic", because: "as --cni says", warnings: [] };
  if (guess.name !== "generic") return guess;
  // Nothing in the snapshot names a plugin: policies that only one plugin knows do.
  const own = (["cilium", "calico"] as const).filter((dialect) => policies.some((policy) => dialectOf(policy) === dialect));
  if (own.length === 2)
    throw new UsageError("there are policies of Cilium and of Calico, and nothing in the snapshot says which runs: give --cni");
  const [only] = own;
  if (only === undefined) return guess;
  const warnings = guess.warnings.filter((warning) => !warning.includes("but no agent that would enforce them"));
  return {
    name: only,
    because: `the policies are ${only === "cilium" ? "Cilium" : "Calico"}'s, nothing else in the snapshot names one`,
    warnings,
  };
}
