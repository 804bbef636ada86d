import { describe, expect, test } from "vitest";
import { assignWorkloads, isVolatileLabel, type OwnerReference, ownedKey, type PodOrigin } from "../../src/cluster/workloads.ts";

type OwnerText = string; // "Kind/name", with * in front of the managing controller
const owner = (text: OwnerText): OwnerReference => {
  const [kind, name] = text.replace("*", "").split("/");
  return { kind, name, controller: text.startsWith("*") };
};
const pod = (name: string, owners: OwnerText[], labels: Record<string, string> = {}, namespace = "shop"): PodOrigin => ({
  namespace,
  name,
  labels,
  owners: owners.map(owner),
});
const texts = (pods: PodOrigin[], controllers: Record<string, OwnerText[]> = {}) => {
  const known = new Map(Object.entries(controllers).map(([key, owners]) => [key, owners.map(owner)]));
  return assignWorkloads(pods, known).map(({ kind, name, foundBy }) => `${kind}/${name} by ${foundBy}`);
};

describe("a pod with owners belongs to its controller's top owner", () => {
  const hash = { "pod-template-hash": "7d4b9" };
  test.each<[string, PodOrigin, Record<string, OwnerText[]>]>([
    ["Deployment/web", pod("web-1", ["*ReplicaSet/web-7d4b9"]), { [ownedKey("ReplicaSet", "shop", "web-7d4b9")]: ["*Deployment/web"] }],
    ["ReplicaSet/web", pod("web-1", ["*ReplicaSet/web"], hash), { [ownedKey("ReplicaSet", "shop", "web")]: [] }],
    ["Deployment/web", pod("web-1", ["*ReplicaSet/web-7d4b9"], hash), {}],
    ["ReplicaSet/web-7d4b9", pod("web-1", ["*ReplicaSet/web-7d4b9"]), {}],
    ["ReplicaSet/web-zzzzz", pod("web-1", ["*ReplicaSet/web-zzzzz"], hash), {}],
    ["ReplicaSet/-7d4b9", pod("web-1", ["*ReplicaSet/-7d4b9"], hash), {}],
    ["ReplicaSet/web-7d4b9", pod("web-1", ["*ReplicaSet/web-7d4b9"], hash), { [ownedKey("ReplicaSet", "shop", "web-7d4b9")]: [] }],
    ["ReplicaSet/web-1", pod("web-1", ["*ReplicaSet/web-1"]), { [ownedKey("ReplicaSet", "other", "web-1")]: ["*Deployment/web"] }],
    ["Rollout/web", pod("web-1", ["*ReplicaSet/web-6f"], { "rollouts-pod-template-hash": "6f" }), {}],
    ["Rollout/web", pod("web-1", ["*ReplicaSet/web-6f"], hash), { [ownedKey("ReplicaSet", "shop", "web-6f")]: ["*Rollout/web"] }],
    ["CronJob/night", pod("n", ["*Job/night-29400000"]), { [ownedKey("Job", "shop", "night-29400000")]: ["*CronJob/night"] }],
    ["Job/night-29400000", pod("n", ["*Job/night-29400000"]), {}],
    [
      "DeploymentConfig/old",
      pod("o", ["*ReplicationController/old-3"]),
      { [ownedKey("ReplicationController", "shop", "old-3")]: ["*DeploymentConfig/old"] },
    ],
    ["StatefulSet/db", pod("db-0", ["*StatefulSet/db"]), {}],
    ["DaemonSet/agent", pod("agent-x", ["*DaemonSet/agent"]), {}],
    ["SparkApplication/pi", pod("pi-driver", ["*SparkApplication/pi"]), {}],
    ["DaemonSet/b", pod("x", ["StatefulSet/a", "*DaemonSet/b"]), {}],
    ["StatefulSet/a", pod("x", ["StatefulSet/a", "DaemonSet/b"]), {}],
    ["Pod/kube-apiserver-n1", pod("kube-apiserver-n1", ["*Node/n1"]), {}],
    ["ReplicaSet/a", pod("x", ["*ReplicaSet/a"]), { [ownedKey("ReplicaSet", "shop", "a")]: ["*ReplicaSet/a"] }],
  ])("%s", (want, origin, controllers) => {
    expect(texts([origin], controllers)).toEqual([`${want} by owner`]);
  });
});

describe("pods without owners are grouped by namespace and lasting labels", () => {
  const bare = (labels: Record<string, string>, namespace = "shop") => pod(`p${Object.values(labels).join("-")}`, [], labels, namespace);
  test.each<[string, PodOrigin[], string[]]>([
    [
      "one group",
      [bare({ app: "web", "pod-template-hash": "a" }), bare({ app: "web", "pod-template-hash": "b" })],
      ["Pods/web", "Pods/web"],
    ],
    ["first name label", [bare({ app: "a", "app.kubernetes.io/name": "b" })], ["Pods/b"]],
    ["an empty name is none", [bare({ app: "", name: "b" })], ["Pods/b"]],
    ["no name label", [bare({ tier: "web", zone: "a" })], ["Pods/tier=web,zone=a"]],
    ["no lasting label", [bare({ "job-name": "x" })], ["Pod/px"]],
    ["no label", [bare({})], ["Pod/p"]],
    ["clash", [bare({ app: "web", version: "v1" }), bare({ app: "web", version: "v2" })], ["Pods/web,version=v1", "Pods/web,version=v2"]],
    ["clash, label in one only", [bare({ app: "web" }), bare({ app: "web", tier: "x" })], ["Pods/web", "Pods/web,tier=x"]],
    ["common labels stay out", [bare({ app: "w", a: "1", c: "1" }), bare({ app: "w", a: "2", c: "1" })], ["Pods/w,a=1", "Pods/w,a=2"]],
    ["clash by different keys", [bare({ app: "web" }), bare({ run: "web" })], ["Pods/web,app=web", "Pods/web,run=web"]],
    ["no clash across namespaces", [bare({ app: "web", v: "1" }), bare({ app: "web", v: "2" }, "other")], ["Pods/web", "Pods/web"]],
    ["invalid labels", [bare({ app: "a,v=1" }), bare({ app: "a", v: "1" }), bare({ app: "a" })], ["Pods/a,v=1", "Pods/a,v=1#2", "Pods/a"]],
  ])("%s", (_title, pods, want) => {
    expect(texts(pods)).toEqual(want.map((text) => `${text} by labels`));
  });
});

test("volatile labels", () => {
  const volatile = ["pod-template-hash", "controller-revision-hash", "statefulset.kubernetes.io/pod-name", "batch.kubernetes.io/job-name"];
  expect(volatile.every(isVolatileLabel)).toBe(true);
  expect(["app", "version", "tier", "constructor"].some(isVolatileLabel)).toBe(false);
});
