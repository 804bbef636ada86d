import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { SCTP, TCP } from "../../src/net/protocol.ts";

type Value = Record<string, unknown>;
const read = (...values: Value[]) =>
  readCluster(readManifest(JSON.stringify({ apiVersion: "v1", kind: "List", items: values }), "shop.json"));
const VERSIONS: Readonly<Record<string, string>> = { CronJob: "batch/v1", Job: "batch/v1", Rollout: "argoproj.io/v1alpha1" };
const ownedBy = (owner: string): Value => {
  const [kind, name] = owner.split("/");
  return { ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid: "u", controller: true }] };
};
/** A workload `Kind/name` of namespace shop; its pods have the label app with the name. */
function workload(title: string, metadata: Value = {}, spec: Value = {}): Value {
  const [kind, name] = title.split("/");
  const template = { metadata: { labels: { app: name } }, spec: { containers: [{ name: "main" }] } };
  const apiVersion = VERSIONS[kind] ?? (kind === "ReplicationController" ? "v1" : "apps/v1");
  const own = kind === "CronJob" ? { schedule: "0 3 * * *", jobTemplate: { spec: { template } } } : { template };
  return { apiVersion, kind, metadata: { name, namespace: "shop", ...metadata }, spec: { ...own, ...spec } };
}
const pod = (name: string, metadata: Value = {}, status: Value = {}): Value => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "shop", ...metadata },
  spec: { containers: [{ name: "main" }] },
  status,
});
const namesOf = (...values: Value[]) => {
  const { templatePods, warnings } = read(...values, pod("elsewhere", { namespace: "other", ...ownedBy("DaemonSet/agent") }));
  expect(warnings).toEqual([]);
  return templatePods.map((each) => `${each.workload.kind}/${each.workload.name}${each.labels.app ? ` app=${each.labels.app}` : ""}`);
};

test("a pod is what the template says, under the name of the workload", () => {
  const deployment = workload("Deployment/web", { namespace: undefined, labels: { app: "not the pod's" } }, { replicas: 0 });
  (deployment.spec as Value).template = {
    metadata: { labels: { app: "web", tier: "front" }, namespace: "not read", creationTimestamp: null },
    spec: {
      hostNetwork: true,
      nodeName: "n1",
      serviceAccountName: "web",
      containers: [{ ports: [{ name: "http", containerPort: 8080 }] }, {}],
      initContainers: [
        { restartPolicy: "Always", ports: [{ name: "sig", containerPort: 2905, protocol: "SCTP" }] },
        { ports: [{ containerPort: 1 }] },
      ],
    },
    // No field of a template, so that nobody can give it an address.
    status: { podIP: "10.0.0.1" },
  };
  const { templatePods, pods, namespaces, timeline } = read(deployment);
  expect(templatePods).toEqual([
    {
      namespace: "default",
      name: "web",
      labels: { app: "web", tier: "front" },
      workload: { namespace: "default", kind: "Deployment", name: "web", foundBy: "owner" },
      nodeName: "n1",
      hostNetwork: true,
      serviceAccountName: "web",
      addresses: [],
      ports: [
        { name: "http", port: 8080, protocol: TCP },
        { name: "sig", port: 2905, protocol: SCTP },
      ],
      startSeconds: null,
      endSeconds: null,
    },
  ]);
  expect(pods).toEqual([]);
  expect([...namespaces.values()].map(({ name, labelsKnown }) => [name, labelsKnown])).toEqual([["default", false]]);
  expect(timeline.ownerAt(10n, null).type).not.toBe("pod");
});

test.each(["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "CronJob", "Job", "Rollout"])(
  "every kind has a template: %s",
  (kind) => {
    expect(namesOf(workload(`${kind}/web`))).toEqual([`${kind}/web app=web`]);
  },
);

test("kinds of the same name in other groups make no pods that are known", () => {
  expect(namesOf({ ...workload("Job/x"), apiVersion: "batch.volcano.sh/v1alpha1" })).toEqual([]);
});

describe("a workload with pods has none of its template", () => {
  test.each<[string, string[], Value[]]>([
    ["its own", [], [workload("StatefulSet/db"), pod("db-0", ownedBy("StatefulSet/db"))]],
    ["one that has finished", [], [workload("Job/j"), pod("j-x", ownedBy("Job/j"), { phase: "Succeeded" })]],
    [
      "through a ReplicaSet",
      [],
      [
        workload("Deployment/web"),
        workload("ReplicaSet/web-7d4b9", ownedBy("Deployment/web")),
        pod("web-7d4b9-x", ownedBy("ReplicaSet/web-7d4b9")),
      ],
    ],
    [
      "through a ReplicaSet that only labels tell of",
      [],
      [workload("Deployment/web"), pod("web-7d4b9-x", { ...ownedBy("ReplicaSet/web-7d4b9"), labels: { "pod-template-hash": "7d4b9" } })],
    ],
    [
      "of another namespace",
      ["Deployment/web app=web"],
      [workload("Deployment/web"), pod("w", { ...ownedBy("Deployment/web"), namespace: "b" })],
    ],
    ["of another kind", ["Deployment/web app=web"], [workload("Deployment/web"), pod("w", ownedBy("StatefulSet/web"))]],
    ["a bare pod with its labels", ["Deployment/web app=web"], [workload("Deployment/web"), pod("web", { labels: { app: "web" } })]],
  ])("%s", (_title, want, values) => {
    expect(namesOf(...values)).toEqual(want);
  });
});

describe("what a workload makes is the workload's", () => {
  const made = (title: string, owner: string, app: string, creationTimestamp?: string): Value =>
    workload(title, { ...ownedBy(owner), creationTimestamp }, { template: { metadata: { labels: { app } } } });
  test.each<[string, string[], Value[]]>([
    [
      "ReplicaSets of a Deployment scaled to 0",
      ["Deployment/web app=web"],
      [made("ReplicaSet/web-1", "Deployment/web", "old"), workload("Deployment/web"), made("ReplicaSet/web-2", "Deployment/web", "older")],
    ],
    [
      "the newest, where the Deployment is not there",
      ["Deployment/web app=new"],
      [
        made("ReplicaSet/web-1", "Deployment/web", "old", "2026-11-22T18:00:00Z"),
        made("ReplicaSet/web-3", "Deployment/web", "new", "2026-11-22T18:09:00Z"),
        made("ReplicaSet/web-2", "Deployment/web", "older", "2026-11-22T18:05:00Z"),
      ],
    ],
    ["a Job of a CronJob", ["CronJob/night app=night"], [made("Job/night-29400000", "CronJob/night", "x"), workload("CronJob/night")]],
    ["a Job of a CronJob that is not there", ["CronJob/night app=x"], [made("Job/night-29400000", "CronJob/night", "x")]],
    ["a ReplicaSet of nobody", ["ReplicaSet/web-1 app=web-1"], [workload("ReplicaSet/web-1")]],
    ["objects that own each other", ["ReplicaSet/a app=a"], [workload("ReplicaSet/a", ownedBy("ReplicaSet/a"))]],
  ])("%s", (_title, want, values) => {
    expect(namesOf(...values)).toEqual(want);
  });
});

describe("a Rollout takes another workload's template", () => {
  const rollout = (name: string) => workload("Rollout/shop", {}, { template: undefined, workloadRef: { kind: "Deployment", name } });
  test("which then is its own", () => {
    expect(namesOf(rollout("web"), workload("Deployment/web"))).toEqual(["Rollout/shop app=web"]);
  });
  test("also while it runs", () => {
    expect(namesOf(rollout("web"), workload("Deployment/web"), pod("x", ownedBy("Rollout/shop")))).toEqual([]);
  });
  test("that is no other", () => {
    const own = workload("Rollout/shop", {}, { template: undefined, workloadRef: { kind: "Rollout", name: "shop" } });
    expect(read(pod("x"), own).warnings).toHaveLength(1);
  });
  test("that is not there", () => {
    expect(read(pod("x"), rollout("gone")).warnings).toEqual([
      "1 Rollout object left out: shop/shop at shop.json:1: `spec.workloadRef.name` names Deployment/gone, which is not there: its pods are not known",
    ]);
  });
});

test.each<[Value, Value, Value]>([
  [{ "job-name": "j", "batch.kubernetes.io/job-name": "j", app: "j" }, {}, {}],
  [{ app: "j" }, { manualSelector: true }, {}],
  [{ "job-name": "mine", "batch.kubernetes.io/job-name": "j", app: "j" }, {}, { "job-name": "mine" }],
])("labels of a Job's pods: %j", (want, spec, labels) => {
  const template = { metadata: { labels: { app: "j", ...labels } } };
  expect(read(workload("Job/j", {}, { template, ...spec })).templatePods[0].labels).toEqual(want);
});

describe("a snapshot that says of no pod by what it was made", () => {
  const ran = (labels: Value) => pod("web-x", { labels }, { podIP: "10.0.0.1" });
  test.each<[string, string[], Value]>([
    ["takes pods with the template's labels for the workload's", [], ran({ app: "web", "pod-template-hash": "7d4b9" })],
    ["unless they have others", ["Deployment"], ran({ app: "api" })],
    ["or never ran", ["Deployment"], pod("web-x", { labels: { app: "web" } })],
  ])("%s", (_title, want, each) => {
    expect(read(workload("Deployment/web"), each).templatePods.map(({ workload: { kind } }) => kind)).toEqual(want);
  });
  test("and a template without labels is nobody's", () => {
    expect(read(workload("CronJob/c", {}, { jobTemplate: { spec: { template: {} } } }), ran({ app: "web" })).templatePods).toHaveLength(1);
  });
});

describe("what cannot be read is told of once, with its place", () => {
  const broken = (title: string, spec: Value) => read(pod("x"), { ...workload(title), spec });
  test.each<[string, string, Value]>([
    ["1 Deployment object left out: shop/web at shop.json:1: `spec.template` is missing: its pods are not known", "Deployment/web", {}],
    [
      "1 CronJob object left out: shop/web at shop.json:1: `spec.jobTemplate.spec.template` is missing: its pods are not known",
      "CronJob/web",
      { template: {} },
    ],
    ["1 Job object left out: shop/web at shop.json:1: `spec.template` is not an object", "Job/web", { template: [] }],
    [
      "1 StatefulSet object left out: shop/web at shop.json:1: `spec.template.spec.containers.0.ports.0.containerPort` is not a port from 1 to 65535",
      "StatefulSet/web",
      { template: { spec: { containers: [{ ports: [{ containerPort: 0 }] }] } } },
    ],
    [
      "1 ReplicaSet object left out: shop/web at shop.json:1: `spec.selector.matchLabels` is not a map of texts",
      "ReplicaSet/web",
      { selector: { matchLabels: { a: 1 } }, template: { metadata: { labels: { a: 1 } } } },
    ],
  ])("%s", (want, title, spec) => {
    expect(broken(title, spec).warnings).toEqual([want]);
  });
  test("but not where the workload's pods are there", () => {
    const { warnings, templatePods } = read({ ...workload("StatefulSet/db"), spec: {} }, pod("db-0", ownedBy("StatefulSet/db")));
    expect([warnings, templatePods]).toEqual([[], []]);
  });
});

test("5,000 pods of 1,000 Deployments with ten old ReplicaSets each are told apart", () => {
  const values = Array.from({ length: 1000 }, (_, i) => [
    workload(`Deployment/app-${i}`),
    ...Array.from({ length: 10 }, (_, old) => workload(`ReplicaSet/app-${i}-${old}`, ownedBy(`Deployment/app-${i}`))),
    ...Array.from({ length: i % 2 === 0 ? 10 : 0 }, (_, n) => pod(`app-${i}-9-${n}`, ownedBy(`ReplicaSet/app-${i}-9`))),
  ]).flat();
  const { templatePods } = read(...values);
  expect(templatePods.map(({ name }) => name)).toEqual(Array.from({ length: 500 }, (_, i) => `app-${2 * i + 1}`));
});
