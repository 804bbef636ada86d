import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/*
 * A real API server for tests (test/live/cluster, built by scripts/build-live-cluster.sh), one a call, all on loopback and gone with
 * `stop`. Tests that need one end in `.live.test.ts` and run by `npm run test:live`.
 */

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Where the plugin lies: in the checkout, or where the packaged one that KGUARDIAN_PROGRAM names does. */
const PLUGIN = process.env.KGUARDIAN_PROGRAM === undefined ? join(ROOT, "bin") : dirname(process.env.KGUARDIAN_PROGRAM);
const SCRIPT = join(ROOT, "test/live/cluster/live-cluster.sh");
const LOADER = join(ROOT, "test/live/cluster/load-world.mjs");
const CACHE = process.env.KGUARDIAN_LIVE_CACHE ?? join(homedir(), ".cache/live-cluster");
const DAEMONS = ["kwok", "apiserver", "etcd"];
/** The context of the cluster admin, and the current one. */
const ADMIN = "live";

export interface LiveClusterOptions {
  /** The loopback port that a port-forward to port 9090 of a pod in the namespace `kguardian` ends at. */
  readonly brokerPort?: number;
  /** Files with v1 Lists in JSON, loaded in this order. */
  readonly world?: readonly string[];
  /** Users without any role. A ServiceAccount's name (`system:serviceaccount:NAMESPACE:NAME`) is a user's too. */
  readonly extraUsers?: readonly string[];
  /** Must hold the clusterIPs of the world. */
  readonly serviceCidrs?: string;
}

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface KubectlOptions {
  /** Default: the cluster admin. */
  readonly user?: string;
  readonly input?: string;
}

export interface Refusal {
  /** Names of the objects that cannot be written. */
  readonly names: readonly string[];
  /** Default: NetworkPolicies. */
  readonly resource?: { readonly group: string; readonly plural: string };
  /** Default: all of them. */
  readonly operations?: readonly ("CREATE" | "UPDATE" | "DELETE")[];
  /** Refuses dry runs too. */
  readonly dryRun?: boolean;
}

export interface LiveCluster {
  /** Path of a kubeconfig with a context for each user; the current one is the cluster admin's. */
  readonly kubeconfig: string;
  /** For a child process: the kubeconfig, a home of its own, and the built kubectl and the plugin on PATH. */
  readonly environment: Readonly<Record<string, string>>;
  /** The context of one of `extraUsers`. */
  contextOf(user: string): string;
  /** Runs kubectl and waits, which stops this process's own servers meanwhile: see `execute` for the plugin. */
  kubectl(args: readonly string[], options?: KubectlOptions): Finished;
  /** Creates the objects of v1 Lists; returns how many. Throws where one was refused. */
  load(...files: string[]): Promise<number>;
  /** Makes the server refuse some writes, as an admission policy of the cluster would, until the returned function is called. */
  refuse(refusal: Refusal): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

export function isLiveClusterBuilt(): boolean {
  try {
    for (const program of ["etcd", "kwok", "kubectl", "kube-apiserver"]) accessSync(join(CACHE, program), constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** For a child process: nothing of this one's but the way to its programs, and `kubectl kguardian` on it. */
export function environment(home: string, kubeconfig?: string): Record<string, string> {
  const { PATH = "", TMPDIR } = process.env;
  return {
    PATH: [CACHE, PLUGIN, PATH].join(delimiter),
    HOME: home,
    NO_COLOR: "1",
    ...(TMPDIR === undefined ? {} : { TMPDIR }),
    ...(kubeconfig === undefined ? {} : { KUBECONFIG: kubeconfig }),
  };
}

/** Runs a program to its end while this process goes on serving: for one that asks a broker which the test itself is. */
export function execute(
  command: string,
  args: readonly string[],
  options: { readonly environment?: Readonly<Record<string, string>>; readonly input?: string; readonly timeoutMs?: number } = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env: options.environment ?? process.env,
      timeout: options.timeoutMs ?? 60_000,
      killSignal: "SIGKILL",
    });
    const read = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) child[name].setEncoding("utf8").on("data", (text) => (read[name] += text));
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, ...read }));
    // A program may end without having read what it is given.
    child.stdin.on("error", () => {});
    child.stdin.end(options.input ?? "");
  });
}

/** Starts a cluster: about four seconds. */
export async function startLiveCluster(options: LiveClusterOptions = {}): Promise<LiveCluster> {
  if (!isLiveClusterBuilt()) throw new Error(`no live cluster in ${CACHE}: run scripts/build-live-cluster.sh`);
  const tokens = (options.extraUsers ?? []).map((user) => `${randomBytes(16).toString("hex")},${user},${user}`);
  const settings = {
    BROKER: `127.0.0.1:${options.brokerPort ?? 9}`, // port 9: nobody listens
    SERVICE_CIDRS: options.serviceCidrs ?? "10.96.0.0/16,fd00:10:96::/112",
    EXTRA_TOKENS: tokens.join("\n"),
  };
  // Another process may take a port between the look and its use.
  for (let tries = 1; ; tries++) {
    const folder = mkdtempSync(join(tmpdir(), "kguardian-live-"));
    const started = await execute(SCRIPT, ["start", CACHE, folder], { environment: { ...environment(folder), ...settings } });
    const cluster = makeCluster(folder);
    if (started.status !== 0) {
      await cluster.stop();
      if (tries === 3) throw new Error(`the live cluster did not start: ${started.stderr}`);
      continue;
    }
    try {
      await cluster.load(...(options.world ?? []));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }
}

function makeCluster(folder: string): LiveCluster {
  const kubeconfig = join(folder, "kubeconfig");
  const home = join(folder, "home");
  mkdirSync(home);
  const variables = environment(home, kubeconfig);
  const contextOf = (user: string) => user; // live-cluster.sh names them so

  const kubectl = (args: readonly string[], { user, input = "" }: KubectlOptions = {}): Finished => {
    const context = ["--context", user === undefined ? ADMIN : contextOf(user)];
    const { status, stdout, stderr, error } = spawnSync(join(CACHE, "kubectl"), [...context, ...args], {
      input,
      encoding: "utf8",
      env: variables,
      timeout: 60_000,
      maxBuffer: 1 << 28,
    });
    if (error) throw error;
    return { status, stdout, stderr };
  };

  const load = async (...files: string[]): Promise<number> => {
    const port = readFileSync(join(folder, "kubelet.port"), "utf8").trim();
    const { status, stdout, stderr } = await execute(process.execPath, [LOADER, kubeconfig, port, ...files]);
    if (status !== 0) throw new Error(`the world did not load: ${stderr}${stdout}`);
    return Number(/^(\d+) objects, 0 failed$/m.exec(stdout)![1]);
  };

  /** Nothing of a test's cluster is worth a clean end, which takes seconds. */
  const kill = () => {
    for (const daemon of DAEMONS) {
      const place = join(folder, `${daemon}.pid`);
      if (!existsSync(place)) continue;
      try {
        process.kill(Number(readFileSync(place, "utf8")), "SIGKILL");
      } catch {
        // It has ended by itself.
      }
      rmSync(place);
    }
  };
  process.once("exit", kill);
  const stop = async () => {
    kill();
    process.off("exit", kill);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  return { kubeconfig, environment: variables, contextOf, kubectl, load, refuse: (refusal) => refuse(kubectl, refusal), stop };
}

let refusals = 0;

async function refuse(kubectl: LiveCluster["kubectl"], refusal: Refusal): Promise<() => Promise<void>> {
  const { names, resource = { group: "networking.k8s.io", plural: "networkpolicies" }, dryRun = false } = refusal;
  const name = `refusal-${++refusals}`;
  const rule = (group: string, plural: string, operations: readonly string[]) => ({
    apiGroups: [group],
    apiVersions: ["*"],
    operations,
    resources: [plural],
  });
  const must = (done: Finished) => {
    if (done.status !== 0) throw new Error(done.stderr);
  };
  const operations = refusal.operations ?? ["CREATE", "UPDATE", "DELETE"];
  const isProbe = `request.name == '${name}'`;
  const policy = {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name },
    spec: {
      failurePolicy: "Fail",
      matchConstraints: {
        resourceRules: [rule(resource.group, resource.plural, operations), rule("networking.k8s.io", "networkpolicies", ["CREATE"])],
      },
      matchConditions: [
        {
          name: "named",
          expression: `(request.name in ${JSON.stringify(names)} && request.resource.resource == '${resource.plural}' && request.operation in ${JSON.stringify(operations)}) || ${isProbe}`,
        },
      ],
      validations: [
        { expression: dryRun ? "false" : `request.dryRun && !(${isProbe})`, message: "refused by the test", reason: "Forbidden" },
      ],
    },
  };
  const binding = {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: { name },
    spec: { policyName: name, validationActions: ["Deny"] },
  };
  must(kubectl(["create", "-f", "-"], { input: JSON.stringify({ apiVersion: "v1", kind: "List", items: [policy, binding] }) }));

  /** The server learns of policies by watching: a dry run of a name that only the test uses shows whether it has. */
  const until = async (isRefused: boolean) => {
    const probe = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name }, spec: { podSelector: {} } };
    for (let tries = 0; tries < 100; tries++) {
      const { status, stderr } = kubectl(["create", "--dry-run=server", "-n", "default", "-f", "-"], { input: JSON.stringify(probe) });
      if ((status !== 0 && stderr.includes(name)) === isRefused) return;
      await pause(50);
    }
    throw new Error(`the server takes no notice of ${name}`);
  };
  await until(true);
  return async () => {
    must(kubectl(["delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", name]));
    await until(false);
  };
}
