import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { ApiServer, pathOf, resourceName, type ServedKind } from "../../src/live/apiServer.ts";
import { readLiveCluster } from "../../src/live/clusterReader.ts";
import type { LiveFailure } from "../../src/live/liveError.ts";
import { failureOf } from "./failure.ts";

/* An API server that a test makes up: what it serves, and what it does wrong. */

type Value = Record<string, unknown>;
interface Reply {
  readonly status?: number;
  readonly body?: unknown;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

interface Mock {
  readonly api: ApiServer;
  /** Method, path and query of every request, in order. */
  readonly asked: string[];
}

async function serve(answer: (path: string, query: URLSearchParams, method: string) => Reply | undefined, prefix = ""): Promise<Mock> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, "http://x");
    asked.push(`${request.method} ${request.url}`);
    const { status = 200, body, type = "application/json", headers } = answer(pathname, searchParams, request.method!) ?? missing();
    response.writeHead(status, { "content-type": type, ...headers }).end(typeof body === "string" ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`);
  return { api: new ApiServer({ name: "the API server", url, timeouts: { idleMs: 500, totalMs: 2000 } }, "jane"), asked };
}

const failure = (status: number, message: string): Reply => ({
  status,
  body: { kind: "Status", status: "Failure", message, code: status },
});
const missing = () => failure(404, "the server could not find the requested resource");
const forbidden = (path: string) => failure(403, `${path} is forbidden: User "jane" cannot list it at the cluster scope`);

const PODS: ServedKind = { apiVersion: "v1", kind: "Pod", resource: "pods", isNamespaced: true };
const namesOf = (objects: readonly Value[]) => objects.map(({ metadata }) => (metadata as Value).name);
const podsFrom = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ metadata: { name: `p${first + i}`, namespace: "shop" } }));

describe("a list", () => {
  test("is asked for page by page, and each item gets its kind", async () => {
    const { api, asked } = await serve((_, query) => {
      const from = Number(query.get("continue")?.slice("a/+=".length) ?? 0);
      expect(query.get("limit")).toBe("500");
      const after = from + 500 < 1200 ? `a/+=${from + 500}` : "";
      return {
        body: { kind: "PodList", metadata: { continue: after, resourceVersion: "7" }, items: podsFrom(from, Math.min(500, 1200 - from)) },
      };
    });
    const objects = await api.list(PODS);
    expect(namesOf(objects)).toEqual(podsFrom(0, 1200).map(({ metadata }) => metadata.name));
    expect(objects[700]).toMatchObject({ apiVersion: "v1", kind: "Pod" });
    expect(asked).toEqual(["", "&continue=a%2F%2B%3D500", "&continue=a%2F%2B%3D1000"].map((rest) => `GET /api/v1/pods?limit=500${rest}`));
  });

  test.each<[string, number, string[] | undefined]>([
    ["once", 1, ["p10", "p11", "p12", "p13"]],
    ["twice", 2, ["p20", "p21", "p22", "p23"]],
    ["again and again", 3, undefined],
  ])("that the server forgot %s is begun again, and nothing counts twice", async (_, times, wanted) => {
    let gone = 0;
    const { api } = await serve((_path, query) => {
      const isSecond = query.has("continue");
      if (isSecond && gone < times) {
        gone++;
        return failure(410, "The provided continue parameter is too old");
      }
      return { body: { metadata: { continue: isSecond ? "" : "x" }, items: podsFrom(gone * 10 + (isSecond ? 2 : 0), 2) } };
    });
    if (wanted === undefined) expect(await failureOf(api.list(PODS))).toMatchObject({ status: 410 });
    else expect(namesOf(await api.list(PODS))).toEqual(wanted);
  });

  test("that is empty may be null", async () => {
    const { api } = await serve(() => ({ body: { metadata: {}, items: null } }));
    expect(await api.list(PODS)).toEqual([]);
  });

  test.each<[string, Reply, LiveFailure, string]>([
    ["401", failure(401, "Unauthorized"), "unauthorized", "refuses the credentials of user `jane`"],
    ["403", forbidden("pods"), "forbidden", "user `jane` may not list pods (pods is forbidden"],
    ["403 without a word", { status: 403, body: "" }, "forbidden", "user `jane` may not list pods"],
    ["404", missing(), "not-found", "does not serve pods"],
    ["404 of another server", { status: 404, body: "<html>nginx", type: "text/html" }, "wrong-service", "no Kubernetes API server"],
    ["a page", { body: "<html>Sign in", type: "text/html" }, "wrong-service", "no Kubernetes API server"],
    ["a list of its own", { body: [] }, "wrong-service", "no Kubernetes API server"],
    ["a text", { body: '"ok"' }, "wrong-service", "no Kubernetes API server"],
    ["an object without items", { body: { kind: "PodList" } }, "wrong-service", "without items"],
    ["items that are none", { body: { items: { a: 1 } } }, "wrong-service", "without items"],
    ["500", failure(500, "etcd: request timed out"), "status", "etcd: request timed out"],
    ["500 with a page", { status: 500, body: "<html>", type: "text/html" }, "status", "status 500"],
    ["503", failure(503, "the server is currently unable"), "status", "currently unable"],
    ["429", failure(429, "too many requests"), "status", "too many requests"],
    ["a redirect", { status: 302, headers: { location: "https://sso.example/?token=s3cret" } }, "status", "status 302"],
    ["several lines", failure(500, "one\ntwo\r\nthree"), "status", "one two three"],
  ])("%s", async (_, reply, code, message) => {
    const { api } = await serve(() => reply);
    const error = await failureOf(api.list(PODS));
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
    expect(error.message).not.toContain("s3cret");
  });

  test("with items of wrong types is read without them", async () => {
    const { api } = await serve(() => ({ body: { items: [null, 5, "x", [], { metadata: null }] } }));
    expect(await api.list(PODS)).toHaveLength(5);
  });

  test("below a path, as Rancher has its clusters", async () => {
    const { api, asked } = await serve(() => ({ body: { items: [] } }), "/k8s/clusters/c-1/");
    await api.list(PODS, "shop");
    expect(asked).toEqual(["GET /k8s/clusters/c-1/api/v1/namespaces/shop/pods?limit=500"]);
  });
});

test("paths and names of kinds", () => {
  const policies = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", resource: "networkpolicies", isNamespaced: true };
  expect(pathOf(PODS, "a b", "../x")).toBe("/api/v1/namespaces/a%20b/pods/..%2Fx");
  expect(pathOf(policies)).toBe("/apis/networking.k8s.io/v1/networkpolicies");
  expect([resourceName(PODS), resourceName(policies)]).toEqual(["pods", "networkpolicies.networking.k8s.io"]);
});

/** Kinds of a made-up cluster: `group/version Kind plural`; a `*` before: not in namespaces. */
const SERVED = [
  "apps/v1 Deployment deployments",
  "apps/v1 ControllerRevision controllerrevisions",
  "batch/v1 Job jobs",
  "batch/v1 CronJob cronjobs",
  "discovery.k8s.io/v1 EndpointSlice endpointslices",
  "networking.k8s.io/v1 NetworkPolicy networkpolicies",
  "networking.k8s.io/v1 Ingress ingresses",
  "events.k8s.io/v1 Event events",
  "cert-manager.io/v1 Certificate certificates",
];
const calico = (group: string) => [
  `${group} GlobalNetworkPolicy globalnetworkpolicies`,
  `${group} *Tier tiers`,
  `${group} NetworkPolicy networkpolicies`,
  `${group} *IPPool ippools`,
];

interface Kind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly resource: string;
  readonly namespaced: boolean;
}
function parse(line: string): Kind {
  const [apiVersion, kind, resource] = line.split(" ");
  const [group, version] = apiVersion.split("/");
  return { group, version, kind: kind.replace("*", ""), resource, namespaced: !kind.startsWith("*") };
}

interface ClusterOptions {
  readonly served?: readonly string[];
  readonly discovery?: "aggregated" | "listed";
  /** Answers before anything else does. */
  readonly first?: (path: string) => Reply | undefined;
  /** Groups with versions whose own server is down, and that discovery knows no kinds of. */
  readonly down?: readonly string[];
}

/** A cluster whose every list holds one object, named by the list's path. */
function cluster({ served = SERVED, discovery = "aggregated", first, down = [] }: ClusterOptions = {}): Promise<Mock> {
  const kinds = served.map(parse);
  const groups = Map.groupBy([...kinds, ...down.map((each) => parse(`${each} - -`))], ({ group }) => group);
  const versionsOf = (all: readonly Kind[]) => [...Map.groupBy(all, ({ version }) => version)];
  const aggregated = {
    kind: "APIGroupDiscoveryList",
    items: [...groups].map(([name, all]) => ({
      metadata: { name },
      versions: versionsOf(all).map(([version, own]) => ({
        version,
        freshness: own[0].resource === "-" ? "Stale" : "Current",
        resources: own
          .filter(({ resource }) => resource !== "-")
          .map(({ kind, resource, namespaced }) => ({
            resource,
            responseKind: { group: name, version, kind },
            scope: namespaced ? "Namespaced" : "Cluster",
            subresources: [{ subresource: "status" }],
          })),
      })),
    })),
  };
  const listed = {
    kind: "APIGroupList",
    groups: [...groups].map(([name, all]) => ({
      name,
      versions: versionsOf(all).map(([version]) => ({ groupVersion: `${name}/${version}`, version })),
    })),
  };
  return serve((path) => {
    const early = first?.(path);
    if (early !== undefined) return early;
    if (path === "/apis") return { body: discovery === "aggregated" ? aggregated : listed };
    const [, group, version] = /^\/apis\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
    if (group !== undefined) {
      if (down.includes(`${group}/${version}`)) return failure(503, "the server is currently unable to handle the request");
      const own = kinds.filter((each) => each.group === group && each.version === version);
      const resources = own.flatMap(({ kind, resource, namespaced }) => [
        { name: resource, kind, namespaced },
        { name: `${resource}/status`, kind, namespaced },
      ]);
      return { body: { kind: "APIResourceList", groupVersion: `${group}/${version}`, resources } };
    }
    if (path.includes("/configmaps/")) return missing();
    if (/\/namespaces\/[^/]+$/.test(path))
      return { body: { apiVersion: "v1", kind: "Namespace", metadata: { name: path.split("/").at(-1) } } };
    return { body: { metadata: {}, items: [{ metadata: { name: path.slice(1).replaceAll("/", "."), namespace: "shop" } }] } };
  });
}

/** What was read, as `Kind name`. */
const readOf = (objects: readonly { readonly value: Value }[]) =>
  objects.map(({ value }) => `${value.kind} ${(value.metadata as Value).name}`).sort();
const CORE_LISTS = ["namespaces", "nodes", "pods", "services", "serviceaccounts", "replicationcontrollers"];
const listsOf = (asked: readonly string[]) =>
  asked.filter((line) => line.includes("?limit=")).map((line) => line.slice("GET ".length).replace(/\?.*/, ""));

describe("a live cluster", () => {
  test.each(["aggregated", "listed"] as const)(
    "is asked for what is needed and served, and for nothing else (discovery: %s)",
    async (discovery) => {
      const { api, asked } = await cluster({ discovery });
      const { objects, warnings } = await readLiveCluster(api, "shop");
      const wanted = [
        ...CORE_LISTS.map((name) => `/api/v1/${name}`),
        "/apis/apps/v1/deployments",
        "/apis/batch/v1/jobs",
        "/apis/batch/v1/cronjobs",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/apis/networking.k8s.io/v1/networkpolicies",
      ];
      expect(listsOf(asked).sort()).toEqual(wanted.sort());
      expect(objects).toHaveLength(wanted.length);
      expect(warnings).toEqual([]);
      expect(asked.every((line) => line.startsWith("GET "))).toBe(true);
    },
  );

  test("never shows a Secret, and of ConfigMaps those of plugins alone", async () => {
    const secret = "apps/v1 Secret secrets";
    const { api, asked } = await cluster({
      served: [...SERVED, secret, "apps/v1 ConfigMap configmaps"],
      first: (path) =>
        path.endsWith("/configmaps/cilium-config")
          ? {
              body: {
                metadata: { name: "cilium-config", namespace: "kube-system" },
                data: { "enable-policy": "always", password: "s3cret" },
              },
            }
          : path.endsWith("/configmaps/antrea-config")
            ? forbidden("configmaps")
            : undefined,
    });
    const { objects, warnings } = await readLiveCluster(api, "shop");
    expect(asked.filter((line) => /secret/i.test(line))).toEqual([]);
    const maps = asked
      .filter((line) => line.includes("configmaps"))
      .map((line) => line.replace("GET /api/v1/namespaces/kube-system/configmaps/", ""));
    expect(maps.sort()).toEqual(["amazon-vpc-cni", "antrea-config", "cilium-config", "kubeadm-config"]);
    expect(JSON.stringify(objects.map(({ value }) => value))).not.toContain("s3cret");
    expect(objects.find(({ value }) => value.kind === "ConfigMap")?.value.data).toEqual({ "enable-policy": "always" });
    expect(warnings).toEqual([]);
  });

  test("keeps of objects what commands read", async () => {
    const pod = {
      metadata: { name: "web", namespace: "shop", annotations: { note: "s3cret" }, managedFields: [{ s3cret: 1 }], labels: { app: "web" } },
      spec: {
        containers: [{ name: "c", env: [{ name: "PASSWORD", value: "s3cret" }], command: ["s3cret"], ports: [{ containerPort: 80 }] }],
      },
    };
    const { api } = await cluster({ first: (path) => (path === "/api/v1/pods" ? { body: { items: [pod] } } : undefined) });
    const { objects } = await readLiveCluster(api, "shop");
    const text = JSON.stringify(objects.map(({ value }) => value));
    expect(text).toContain('"app":"web"');
    expect(text).not.toContain("s3cret");
  });

  test("with both of Calico's groups has each object once", async () => {
    const both = [...SERVED, ...calico("crd.projectcalico.org/v1"), ...calico("projectcalico.org/v3")];
    const { api, asked } = await cluster({ served: both });
    await readLiveCluster(api, "shop");
    const lists = listsOf(asked).filter((path) => path.includes("calico"));
    expect(lists.sort()).toEqual(
      ["globalnetworkpolicies", "ippools", "networkpolicies", "tiers"].map((name) => `/apis/projectcalico.org/v3/${name}`),
    );
    const { api: plain, asked: askedOfPlain } = await cluster({ served: [...SERVED, ...calico("crd.projectcalico.org/v1")] });
    await readLiveCluster(plain, "shop");
    expect(listsOf(askedOfPlain).filter((path) => path.includes("crd.projectcalico.org/v1"))).toHaveLength(4);
  });

  test("with several versions of a kind has the one that is read", async () => {
    const policy = (version: string) => `policy.networking.k8s.io/${version} *AdminNetworkPolicy adminnetworkpolicies`;
    const { api, asked } = await cluster({
      served: [
        policy("v1gamma9"),
        policy("v1alpha1"),
        "cilium.io/v2alpha1 CiliumNetworkPolicy cnps",
        "cilium.io/v2 CiliumNetworkPolicy cnps",
      ],
    });
    await readLiveCluster(api, "shop");
    expect(
      listsOf(asked)
        .filter((path) => path.startsWith("/apis"))
        .sort(),
    ).toEqual(["/apis/cilium.io/v2/cnps", "/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies"]);
  });

  test("whose CRD was deleted a moment ago is read without it", async () => {
    const { api } = await cluster({ first: (path) => (path.endsWith("/networkpolicies") ? missing() : undefined) });
    expect((await readLiveCluster(api, "shop")).warnings).toEqual([]);
  });

  test.each(["aggregated", "listed"] as const)(
    "with a group whose server is down says what is missing (discovery: %s)",
    async (discovery) => {
      const { api } = await cluster({
        served: [...SERVED, ...calico("projectcalico.org/v3")],
        discovery,
        first: (path) => (/^\/apis\/projectcalico.org\/v3\/./.test(path) ? failure(503, "the server is currently unable") : undefined),
      });
      const { objects, unreadPolicies } = await readLiveCluster(api, "shop");
      expect(objects).toHaveLength(11);
      expect(unreadPolicies).toContain("globalnetworkpolicies.projectcalico.org (its server does not answer)");
    },
  );

  test.each(["aggregated", "listed"] as const)(
    "with a group of which not even the kinds are known says so, where it matters (discovery: %s)",
    async (discovery) => {
      const { api } = await cluster({ discovery, down: ["metrics.k8s.io/v1beta1", "projectcalico.org/v3"] });
      expect((await readLiveCluster(api, "shop")).unreadPolicies).toEqual(["projectcalico.org/v3 (its server does not answer)"]);
      const stored = await cluster({
        discovery,
        down: ["projectcalico.org/v3"],
        served: [...SERVED, ...calico("crd.projectcalico.org/v1")],
      });
      expect(await readLiveCluster(stored.api, "shop")).toMatchObject({ warnings: [], unreadPolicies: [] });
      expect(listsOf(stored.asked).filter((path) => path.includes("calico"))).toHaveLength(4);
    },
  );

  test("that fails at what it serves itself is no cluster to judge by", async () => {
    const { api } = await cluster({ first: (path) => (path === "/apis/apps/v1/deployments" ? failure(503, "overloaded") : undefined) });
    expect(await failureOf(readLiveCluster(api, "shop"))).toMatchObject({ status: 503 });
    const { api: other } = await cluster({
      discovery: "listed",
      first: (path) => (path === "/apis/apps/v1" ? failure(401, "Unauthorized") : undefined),
    });
    expect((await failureOf(readLiveCluster(other, "shop"))).code).toBe("unauthorized");
  });

  test.each<[string, Reply, LiveFailure]>([
    ["no discovery", missing(), "wrong-service"],
    ["a page for one", { body: "<html>", type: "text/html" }, "wrong-service"],
    ["another object", { body: { broker: "1.12.4" } }, "wrong-service"],
    ["groups that are none", { body: { kind: "APIGroupList", groups: 7 } }, "wrong-service"],
    ["nobody let in", failure(401, "Unauthorized"), "unauthorized"],
    ["it forbidden", forbidden("/apis"), "forbidden"],
  ])("with %s", async (_, reply, code) => {
    const { api } = await cluster({ first: (path) => (path === "/apis" ? reply : undefined) });
    expect((await failureOf(readLiveCluster(api, "shop"))).code).toBe(code);
  });

  test.each<[string, unknown]>([
    [
      "items",
      {
        kind: "APIGroupDiscoveryList",
        items: [null, 3, {}, { metadata: null, versions: [null, {}, { version: "v1", resources: [null, 1, {}, { resource: 1 }] }] }],
      },
    ],
    ["no items", { kind: "APIGroupDiscoveryList" }],
    ["groups", { kind: "APIGroupList", groups: [null, 1, {}, { versions: [null, {}, { groupVersion: 5 }] }] }],
  ])("with discovery of wrong shapes (%s) is the core group", async (_, body) => {
    const { api, asked } = await cluster({ first: (path) => (path === "/apis" ? { body } : undefined) });
    await readLiveCluster(api, "shop");
    expect(listsOf(asked)).toHaveLength(CORE_LISTS.length);
  });
});

describe("a user with few rights", () => {
  test("who may list in a namespace only is told what is not known", async () => {
    const { api, asked } = await cluster({
      first: (path) => (/^\/api(s\/[^/]+)?\/v1\/(pods|networkpolicies|namespaces|nodes)$/.test(path) ? forbidden(path) : undefined),
    });
    const { objects, warnings } = await readLiveCluster(api, "shop");
    expect(readOf(objects)).toContain("Pod api.v1.namespaces.shop.pods");
    expect(readOf(objects)).toContain("Namespace shop");
    expect(readOf(objects).filter((line) => line.startsWith("Node "))).toEqual([]);
    expect(warnings).toEqual([
      expect.stringMatching(
        /^only objects of namespace shop are known of pods, networkpolicies\.networking\.k8s\.io: the user lacks the verb `list`/,
      ),
      expect.stringMatching(
        /^not read, since the user lacks the verb `list`: namespaces, nodes; so labels of namespaces are not known, addresses of nodes/,
      ),
    ]);
    expect(asked).toContain("GET /api/v1/namespaces/shop");
  });

  test("who may see no policies is told that they are missing", async () => {
    const { api } = await cluster({ first: (path) => (path.endsWith("/networkpolicies") ? forbidden(path) : undefined) });
    const { unreadPolicies } = await readLiveCluster(api, "shop");
    expect(unreadPolicies).toEqual(["networkpolicies.networking.k8s.io (the user lacks the verb `list`)"]);
  });

  test("who may see no pods at all cannot be served", async () => {
    const { api } = await cluster({ first: (path) => (path.endsWith("/pods") ? forbidden(path) : undefined) });
    const error = await failureOf(readLiveCluster(api, "shop"));
    expect(error.code).toBe("forbidden");
    expect(error.message).toMatch(
      /user `jane` may not list pods, neither everywhere nor in namespace shop.*verb `list` on `pods` \(docs\/cluster-role\.yaml/,
    );
  });

  test("who may see nothing is told so at once", async () => {
    const { api } = await cluster({
      first: (path) => (path.startsWith("/apis") && path !== "/apis" ? undefined : path === "/apis" ? undefined : forbidden(path)),
    });
    expect((await failureOf(readLiveCluster(api, "shop"))).code).toBe("forbidden");
  });
});
