import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { execute } from "../../live/liveCluster.ts";
import { file, programEnvironment, run, SHOP } from "../program.ts";

/* The program as kubectl calls it: `__complete`, words, what is typed. */

const CLUSTER = `${SHOP}/cluster.yaml`;

function complete(words: readonly string[], environment: Record<string, string> = {}) {
  const { code, out, err } = run(["__complete", ...words], "", environment);
  const lines = out.trimEnd().split("\n");
  const directive = lines.pop();
  return { code, err, directive, values: lines.map((line) => line.split("\t")[0]) };
}

function config(defaults: string): Record<string, string> {
  return { KGUARDIAN_CONFIG: file("config.yaml", `apiVersion: kguardian.dev/v1alpha1\nkind: Config\ndefaults: ${defaults}\n`) };
}

describe("names of a snapshot", () => {
  test.each<[string[], string[]]>([
    [["simulate", "--snapshot", CLUSTER, "-n", "mon"], ["monitoring"]],
    [["gen", "netpol", "--snapshot", CLUSTER, "-n", "shop", "deploy/o"], ["deploy/orders"]],
    [
      ["gen", "seccomp", `--snapshot=${CLUSTER}`, "--namespace=shop", "sts/"],
      ["sts/cache", "sts/postgres"],
    ],
    [["explain", "--snapshot", CLUSTER, "shop/deploy/web", "shop/svc/o"], ["shop/svc/orders"]],
    [["explain", "--snapshot", CLUSTER, "-n", "shop", "svc/o"], ["svc/orders"]],
    [["explain", "--snapshot", CLUSTER, "ext"], ["external"]],
    [["matrix", "--snapshot", CLUSTER, "--focus", "shop/deploy/w"], ["shop/deploy/web"]],
    // Without a snapshot and without a cluster, the manifests may hold the workloads.
    [["matrix", "-f", CLUSTER, "--focus", "shop/deploy/w"], ["shop/deploy/web"]],
  ])("%j", (words, values) => {
    expect(complete(words)).toEqual({ code: 0, err: "", directive: ":4", values });
  });

  test("pods are offered, with what made them", () => {
    const { out } = run(["__complete", "gen", "netpol", "--snapshot", CLUSTER, "-n", "shop", "pod/web"]);
    expect(out).toMatch(/^pod\/web-[a-z0-9-]+\tpod of deploy\/web$/m);
  });

  test("the variable and the configuration file name one, the line goes before", () => {
    const asked = ["gen", "netpol", "-n", "shop", "deploy/o"];
    expect(complete(asked).values).toEqual([]);
    expect(complete(asked, { KGUARDIAN_SNAPSHOT: CLUSTER }).values).toEqual(["deploy/orders"]);
    expect(complete(asked, config(`{snapshot: ${CLUSTER}}`)).values).toEqual(["deploy/orders"]);
    expect(complete(["gen", "netpol", "deploy/o"], config(`{snapshot: ${CLUSTER}, namespace: shop}`)).values).toEqual(["deploy/orders"]);
    expect(complete(["gen", "netpol", "-n", "monitoring", "deploy/o"], config(`{snapshot: ${CLUSTER}, namespace: shop}`)).values).toEqual(
      [],
    );
  });

  test("audit policies of the namespace, and those of the cluster", () => {
    const audits = [
      "AuditNetworkPolicy, metadata: {name: web, namespace: shop}",
      "AuditNetworkPolicy, metadata: {name: other, namespace: b}",
      "AuditClusterNetworkPolicy, metadata: {name: base}",
    ];
    const path = file("audits.yaml", audits.map((each) => `{apiVersion: kguardian.dev/v1alpha1, kind: ${each}}`).join("\n---\n"));
    expect(complete(["audit", "promote", "--snapshot", path, "-n", "shop", ""]).values).toEqual(["base", "web"]);
    expect(complete(["audit", "promote", "--snapshot", path, "-A", ""]).values).toEqual(["base", "other", "web"]);
  });

  test("names of hostile snapshots are not offered", () => {
    const names = ["$(touch /tmp/pwned)", "\\e[31mred", "fine"].map(
      (name) => `{apiVersion: v1, kind: Namespace, metadata: {name: "${name}"}}`,
    );
    expect(complete(["simulate", "--snapshot", file("hostile.yaml", names.join("\n---\n")), "-n", ""]).values).toEqual(["fine"]);
  });
});

describe("what fails is no answer", () => {
  test.each([
    ["no such file", ["--snapshot", "no-such-file.yaml"], {}],
    ["a snapshot that is none", ["--snapshot", file("broken.yaml", "{")], {}],
    ["standard input", ["--snapshot", "-"], {}],
    ["a kubeconfig that is none", ["--kubeconfig", file("broken-config", "}{")], {}],
    ["a context that there is not", ["--context", "nowhere"], {}],
    ["a configuration that is wrong", [], { KGUARDIAN_CONFIG: file("wrong.yaml", "nonsense: 1\n") }],
  ] as [string, string[], Record<string, string>][])("%s", (_, flags, environment) => {
    expect(complete(["simulate", ...flags, "-n", ""], environment)).toEqual({ code: 0, err: "", directive: ":4", values: [] });
    // Flags and commands are offered all the same.
    expect(complete(["simulate", ...flags, "--outp"], environment).values).toEqual(["--output"]);
  });

  test("nor is a cluster that accepts connections and says nothing: a second is waited", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const { port } = silent.address() as { port: number };
    const path = file("silent-kubeconfig", kubeconfig(`http://127.0.0.1:${port}`));
    const started = performance.now();
    // The server is of this process: it must go on while the program runs.
    const { status, stdout, stderr } = await execute("bin/kubectl-kguardian", ["__complete", "simulate", "--kubeconfig", path, "-n", ""], {
      environment: programEnvironment("/nonexistent") as Record<string, string>,
    });
    silent.close();
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: ":4\n", stderr: "" });
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test("contexts come from the kubeconfig, without asking any cluster", () => {
    const path = file("kubeconfig", kubeconfig("https://192.0.2.1:6443"));
    expect(complete(["simulate", "--kubeconfig", path, "--context", ""]).values).toEqual(["silent", "arn:aws:eks:eu:1:cluster/b"]);
    expect(complete(["simulate", "--context", "s"], { KUBECONFIG: path }).values).toEqual(["silent"]);
  });
});

function kubeconfig(server: string): string {
  const contexts = ["silent", "arn:aws:eks:eu:1:cluster/b"].map((name) => `{name: "${name}", context: {cluster: c, user: u}}`);
  return `apiVersion: v1\nkind: Config\ncurrent-context: silent\nclusters: [{name: c, cluster: {server: "${server}"}}]\nusers: [{name: u, user: {token: t}}]\ncontexts: [${contexts.join(", ")}]\n`;
}

test("completing does not load what commands need", () => {
  const least = (args: readonly string[]) =>
    Math.min(
      ...Array.from({ length: 3 }, () => {
        const started = performance.now();
        run(args);
        return performance.now() - started;
      }),
    );
  // `version` does nothing but load oclif: whatever the machine, that takes longer than all of a completion.
  expect(least(["__complete", "simulate", "-"])).toBeLessThan(least(["version"]));
});
