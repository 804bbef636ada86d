import { describe, expect, test } from "vitest";
import { chooseProfile as chooseBy } from "../../src/cli/chooseProfile.ts";
import { UsageError } from "../../src/cli/errors.ts";
import type { CniGuess } from "../../src/cluster/cni.ts";
import type { PolicyRef, PolicySet } from "../../src/policy/model.ts";
import { ALL_KINDS } from "../evaluate/dialects.ts";
import { policySetOf } from "../oracle/compiled.ts";

const guess = (name: CniGuess["name"], settings: CniGuess["settings"] = {}, warnings: string[] = []): CniGuess => ({
  name,
  because: name === "generic" ? "the snapshot names no network plugin" : `DaemonSet kube-system/${name}`,
  warnings,
  settings,
});
const GENERIC = guess("generic");
const chooseProfile = (flag: string, seen: CniGuess, set: PolicySet, refs: PolicyRef[], formats: string[] = []) =>
  chooseBy(flag, { guess: seen, formats }, set, refs);
const setOf = (...kinds: string[]) => policySetOf(kinds.map((kind) => ALL_KINDS[kind]).join("---\n"));
const NOTHING = { policies: [], tiers: [], sets: [] };

describe("which plugin", () => {
  test.each<[string, string, CniGuess, string[], string, string]>([
    ["the flag", "calico", guess("cilium"), [], "calico", "as --cni says"],
    ["the flag, against the policies too", "generic", guess("cilium"), ["CiliumNetworkPolicy"], "generic", "as --cni says"],
    ["the flag, where both dialects are", "cilium", GENERIC, ["CiliumNetworkPolicy", "GlobalNetworkPolicy"], "cilium", "as --cni says"],
    ["the snapshot", "auto", guess("antrea"), ["NetworkPolicy"], "antrea", "DaemonSet kube-system/antrea"],
    ["the snapshot, against the policies", "auto", guess("calico"), ["CiliumNetworkPolicy"], "calico", "DaemonSet kube-system/calico"],
    [
      "policies of Cilium",
      "auto",
      GENERIC,
      ["NetworkPolicy", "CiliumNetworkPolicy"],
      "cilium",
      "the policies are Cilium's, nothing else in the snapshot names one",
    ],
    [
      "policies of Calico",
      "auto",
      GENERIC,
      ["NetworkPolicy.projectcalico.org", "ClusterNetworkPolicy"],
      "calico",
      "the policies are Calico's, nothing else in the snapshot names one",
    ],
    ["policies that many know", "auto", GENERIC, ["NetworkPolicy", "AdminNetworkPolicy"], "generic", GENERIC.because],
    ["nothing at all", "auto", GENERIC, [], "generic", GENERIC.because],
  ])("%s", (_what, flag, seen, kinds, name, because) => {
    const chosen = chooseProfile(flag, seen, kinds.length === 0 ? NOTHING : setOf(...kinds), []);
    expect([chosen.profile.name, chosen.because, chosen.warnings]).toEqual([name, because, []]);
  });

  test("policies of Cilium and of Calico, and nothing that says which runs", () => {
    const both = setOf("CiliumNetworkPolicy", "GlobalNetworkPolicy");
    expect(() => chooseProfile("auto", GENERIC, both, [])).toThrow(UsageError);
    expect(() => chooseProfile("auto", GENERIC, both, [])).toThrow(/of Cilium and of Calico, .*: give --cni$/);
  });

  test("the snapshot's settings count for its own plugin only", () => {
    const seen = guess("cilium", { "policy-cidr-match-mode": "nodes", "enable-policy": "always" });
    expect(chooseProfile("auto", seen, NOTHING, []).profile).toMatchObject({ blocksMatchNodes: true, enforcement: "always" });
    expect(chooseProfile("cilium", seen, NOTHING, []).profile).toMatchObject({ blocksMatchNodes: true, enforcement: "always" });
    expect(chooseProfile("antrea", seen, NOTHING, []).profile.enforcement).toBe("default");
  });

  test("a flow log that one plugin alone writes names it where the snapshot does not", () => {
    expect(chooseProfile("auto", GENERIC, NOTHING, [], ["pcap", "hubble"])).toMatchObject({
      profile: { name: "cilium" },
      because: "the flow log is of Hubble",
    });
    expect(chooseProfile("auto", GENERIC, NOTHING, [], ["hubble", "calico-goldmane"]).profile.name).toBe("generic");
    expect(chooseProfile("auto", guess("antrea"), NOTHING, [], ["hubble"]).profile.name).toBe("antrea");
    expect(chooseProfile("generic", GENERIC, NOTHING, [], ["hubble"]).profile.name).toBe("generic");
  });

  test("what the snapshot warns of is handed on, unless the policies answer it", () => {
    const seen = guess("generic", {}, ["there are CiliumNetworkPolicies but no agent that would enforce them", "two plugins"]);
    expect(chooseProfile("auto", seen, NOTHING, []).warnings).toHaveLength(2);
    expect(chooseProfile("auto", seen, setOf("CiliumNetworkPolicy"), []).warnings).toEqual(["two plugins"]);
    expect(chooseProfile("cilium", seen, NOTHING, []).warnings).toEqual([]);
  });
});

describe("policies that are not evaluated", () => {
  const ref = (apiVersion: string, kind: string): PolicyRef => ({ apiVersion, kind, name: "p", file: "p.yaml", line: 7 });
  const ANTREA = ref("crd.antrea.io/v1beta1", "ClusterNetworkPolicy");
  const choose = (flag: string, seen: CniGuess, ...refs: PolicyRef[]) => chooseProfile(flag, seen, NOTHING, refs);
  test.each<[string, string, CniGuess, PolicyRef]>([
    ["nothing says which plugin runs", "auto", GENERIC, ANTREA],
    ["the plugin that knows it runs", "auto", guess("antrea"), ANTREA],
    ["the flag names that plugin", "antrea", GENERIC, ANTREA],
    ["an EgressFirewall under OVN-Kubernetes", "ovn-kubernetes", GENERIC, ref("k8s.ovn.org/v1", "EgressFirewall")],
    ["OpenShift's older one too", "auto", guess("ovn-kubernetes"), ref("network.openshift.io/v1", "EgressNetworkPolicy")],
    ["one of AWS", "aws", GENERIC, ref("networking.k8s.aws/v1alpha1", "ApplicationNetworkPolicy")],
  ])("refused: %s", (_what, flag, seen, refused) => {
    expect(() => choose(flag, seen, refused)).toThrow(UsageError);
    expect(() => choose(flag, seen, refused)).toThrow(
      new RegExp(
        `^p\\.yaml:7: ${refused.kind}\\.${refused.apiVersion.replace(/\/.*/, "")} p is not evaluated by this version: .* would be wrong`,
      ),
    );
  });

  test("only where nothing says which plugin runs the message says what to give", () => {
    expect(() => choose("auto", GENERIC, ANTREA)).toThrow(/\(give --cni where another plugin runs\)$/);
    expect(() => choose("auto", guess("antrea"), ANTREA)).toThrow(/a verdict under antrea that left it out would be wrong$/);
  });

  test.each([
    ["another plugin runs", "auto", guess("calico"), "calico"],
    ["the flag names another", "cilium", GENERIC, "cilium"],
    ["the flag says generic", "generic", guess("antrea"), "generic"],
  ] as const)("named: %s", (_what, flag, seen, name) => {
    expect(choose(flag, seen, ANTREA).warnings).toEqual([`ClusterNetworkPolicy.crd.antrea.io p is ignored: ${name} does not know it`]);
  });
});
