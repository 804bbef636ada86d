import { describe, expect, test } from "vitest";
import { PolicyNames } from "../../src/generate/names.ts";
import type { SelectableWorkload } from "../../src/generate/workloads.ts";
import { dnsSubdomainFault } from "../../src/policy/names.ts";

const workload = (namespace: string, name: string, kind = "Deployment"): SelectableWorkload => ({
  key: `${kind}/${namespace}/${name}`,
  namespace,
  kind,
  name,
  pods: [],
  selector: { requirements: [] },
});
const KUBERNETES = { type: "kubernetes", isClusterWide: false } as const;

function namesOf(
  workloads: readonly SelectableWorkload[],
  dialect: ConstructorParameters<typeof PolicyNames>[1] = KUBERNETES,
  isTaken = (_namespace: string, _name: string) => false,
) {
  const names = new PolicyNames(workloads, dialect, isTaken);
  return workloads.map((each) => names.of(each));
}

describe("names of policies and files", () => {
  test("are the workload's, the file's with the namespace", () => {
    expect(namesOf([workload("shop", "web")])).toEqual([{ name: "web", file: "shop-web-networkpolicy.yaml" }]);
  });

  test("of one name in two namespaces are the same name in two files", () => {
    expect(namesOf([workload("a", "web"), workload("b", "web")]).map(({ file }) => file)).toEqual([
      "a-web-networkpolicy.yaml",
      "b-web-networkpolicy.yaml",
    ]);
  });

  test("of two kinds with one name have the kind", () => {
    expect(namesOf([workload("a", "web"), workload("a", "web", "StatefulSet")]).map(({ name }) => name)).toEqual([
      "web-deployment",
      "web-statefulset",
    ]);
  });

  test("of files that would be one have a hash of whose they are", () => {
    const files = namesOf([workload("a-b", "c"), workload("a", "b-c")]).map(({ file }) => file);
    expect(new Set(files).size).toBe(2);
    for (const file of files) expect(file).toMatch(/^a-b-c-[0-9a-f]{8}-networkpolicy\.yaml$/);
  });

  test("keep dots, which Calico does not take", () => {
    expect(namesOf([workload("a", "web.v1")])[0].name).toBe("web.v1");
    expect(
      namesOf([workload("a", "web.v1"), workload("a", "web-v1")], { type: "calico", isClusterWide: false }).map(({ name }) => name),
    ).toEqual([expect.stringMatching(/^web-v1-[0-9a-f]{8}$/), expect.stringMatching(/^web-v1-[0-9a-f]{8}$/)]);
  });

  test("clusterwide ones have the namespace, and are told apart over all of them", () => {
    const names = namesOf([workload("a-b", "c"), workload("a", "b-c"), workload("x", "y")], { type: "cilium", isClusterWide: true });
    expect(new Set(names.map(({ name }) => name)).size).toBe(3);
    expect(names[2]).toEqual({ name: "x-y", file: "x-y-networkpolicy.yaml" });
  });

  test("do not take the place of a policy that others wrote", () => {
    expect(namesOf([workload("a", "web")], KUBERNETES, (namespace, name) => namespace === "a" && name === "web")[0].name).toBe(
      "web-kguardian",
    );
  });

  test.each([
    "x".repeat(253),
    `${"x".repeat(252)}.`,
    "web,tier=1",
    "Großes Ding",
    "../../etc/passwd",
    "a\u001b[31m\nb",
    ".",
    "",
    "-a-",
    "a..b",
    "a.-b",
  ])("of %j are valid and no paths", (name) => {
    for (const dialect of [KUBERNETES, { type: "calico", isClusterWide: false }, { type: "cilium", isClusterWide: true }] as const) {
      const [named] = namesOf([workload("../ns", name)], dialect);
      expect(dnsSubdomainFault(named.name)).toBeUndefined();
      expect(named.file).toMatch(/^[A-Za-z0-9][A-Za-z0-9.-]*-networkpolicy\.yaml$/);
      expect(Buffer.byteLength(named.file)).toBeLessThanOrEqual(255);
    }
  });
});
