import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { generateSeccomp, type SeccompFlags } from "../../src/cli/seccomp.ts";
import { readSyscallRow } from "../../src/live/brokerRows.ts";
import { type BrokerOptions, hasRecordings, RECORDINGS, type RecordedBroker, startRecordedBroker } from "../live/recordedBroker.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "kguardian-seccomp-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let broker: RecordedBroker | undefined;
beforeEach(() => {
  for (const name of ["KUBECONFIG", "KGUARDIAN_BROKER_URL", "KGUARDIAN_BROKER_TOKEN", "KUBERNETES_SERVICE_HOST"])
    vi.stubEnv(name, undefined);
  vi.stubEnv("HOME", join(folder, "home"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await broker?.stop();
  broker = undefined;
});

const FULL = "execve,brk,mmap,close,read,write,epoll_pwait,exit_group";
const row = (pod_name: string, fields: Readonly<Record<string, unknown>> = {}) => ({
  pod_name,
  pod_namespace: "",
  syscalls: FULL,
  arch: "x86_64",
  time_stamp: "2026-07-01T08:00:00",
  ...fields,
});

function pod(namespace: string, name: string, owner?: string, extra = ""): string {
  const owners =
    owner === undefined ? "" : `, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: ${owner}, controller: true, uid: u}]`;
  return `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: ${namespace}, uid: ${namespace}-${name}${owners}}\n${extra}`;
}

function snapshot(...pods: readonly string[]): string {
  const path = join(folder, "snapshot.yaml");
  writeFileSync(path, pods.join("---\n"));
  return path;
}

const DB = [pod("shop", "db-0", "db"), pod("shop", "db-1", "db"), pod("pay", "db-0", "db"), pod("shop", "web", undefined)];

async function generate(options: BrokerOptions, pods: readonly string[], flags: Partial<SeccompFlags>) {
  broker = await startRecordedBroker({ podInfo: [], ...options });
  return await generateSeccomp({
    brokerUrl: broker.url,
    snapshot: pods.length === 0 ? [] : [snapshot(...pods)],
    name: undefined,
    all: false,
    allNamespaces: false,
    namespace: "shop",
    defaultAction: "SCMP_ACT_ERRNO",
    baseline: true,
    strict: false,
    ...flags,
  });
}

describe("gen seccomp", () => {
  it("joins what all pods of a workload were seen to call", async () => {
    const syscalls = [
      row("db-0", { pod_namespace: "shop", syscalls: `${FULL},fsync` }),
      row("db-1", { syscalls: `${FULL},sendfile`, arch: "aarch64", time_stamp: "2026-06-30T08:00:00" }),
    ];
    for (const name of ["sts/db", "db", "statefulset/db", "pod/db-1", "db-0"]) {
      const { profiles } = await generate({ syscalls }, DB, { name });
      expect(profiles).toHaveLength(1);
      const [{ workload, made, pods, since, file }] = profiles;
      expect(workload).toMatchObject({ namespace: "shop", kind: "StatefulSet", name: "db" });
      expect(made.observed).toEqual([...FULL.split(","), "fsync", "sendfile"].sort());
      expect(made.profile.architectures).toEqual(["SCMP_ARCH_AARCH64", "SCMP_ARCH_X86_64"]);
      expect(pods).toEqual({ seen: 2, known: 2 });
      expect(since?.seconds).toBe(Date.UTC(2026, 5, 30, 8) / 1000);
      expect(file).toBe("shop-db-seccomp.json");
      await broker?.stop();
    }
  });

  it("takes no record of another namespace's pod of the same name", async () => {
    const foreign = row("db-0", { pod_namespace: "pay", syscalls: `${FULL},ptrace` });
    const { profiles, left } = await generate({ syscalls: [foreign, row("db-1")] }, DB, { allNamespaces: true });
    const [pay, shop] = profiles;
    expect(pay.workload.namespace).toBe("pay");
    expect(pay.made.observed).toContain("ptrace");
    expect(shop.made.observed).not.toContain("ptrace");
    expect(shop.pods).toEqual({ seen: 1, known: 2 });
    expect(shop.warnings).toEqual([
      "only 1 of 2 pods have a record: what the others alone call will be denied",
      "records of db-0 were left out: of another namespace, or not said of which",
    ]);
    expect(pay.warnings).toEqual(["pods named db-0 are in shop too, and the broker keeps one record a name: it may be of either"]);
    expect(left.map(({ workload: { name } }) => name)).toEqual(["web"]);
  });

  it("takes a record without a namespace only where one pod has the name", async () => {
    const { profiles } = await generate({ syscalls: [row("db-0"), row("db-1")] }, DB, { name: "db" });
    expect(profiles[0].pods).toEqual({ seen: 1, known: 2 });
    await broker?.stop();
    await expect(generate({ syscalls: [row("db-0")] }, DB, { name: "db" })).rejects.toThrow(
      /^shop\/sts\/db: what the broker recorded under its pods' names \(db-0\) is of another namespace, or does not say of which$/,
    );
  });

  it("takes no row that is not of the pod that was asked for", async () => {
    broker = await startRecordedBroker({
      podInfo: [],
      faults: [{ kind: "answer", status: 200, type: "application/json", body: JSON.stringify([row("other")]), path: /^\/pod\/syscalls\// }],
    });
    const flags = {
      snapshot: [snapshot(...DB)],
      all: false,
      allNamespaces: false,
      namespace: "shop",
      defaultAction: "log",
      baseline: true,
      strict: false,
    };
    await expect(generateSeccomp({ ...flags, name: "db", brokerUrl: broker.url })).rejects.toThrow(
      "the broker has no system calls of its 2 pods",
    );
  });

  it("counts pods that are gone only where they left a record", async () => {
    const ended = pod(
      "shop",
      "db-9",
      "db",
      "status: {phase: Succeeded, containerStatuses: [{state: {terminated: {finishedAt: 2026-07-02T08:00:00Z}}}]}\n",
    );
    const gone = pod("shop", "db-8", "db").replace("uid:", "deletionTimestamp: 2026-07-02T08:00:00Z, uid:");
    const { profiles } = await generate({ syscalls: [row("db-0", { pod_namespace: "shop" }), row("db-9")] }, [...DB, ended, gone], {
      name: "db",
    });
    expect(profiles[0].pods).toEqual({ seen: 2, known: 3 });
  });

  it("knows pods that only the broker still knows", async () => {
    const podRow = {
      pod_name: "old-1",
      pod_ip: "10.0.0.9",
      pod_namespace: "shop",
      pod_obj: null,
      time_stamp: "2026-07-01T08:00:00",
      node_name: "a",
      is_dead: true,
      pod_identity: null,
      workload_selector_labels: null,
    };
    const { profiles, warnings } = await generate({ podInfo: [podRow], syscalls: [row("old-1")] }, [], { name: "old-1" });
    expect(profiles[0]).toMatchObject({ workload: { kind: "Pod", name: "old-1" }, pods: { seen: 1, known: 1 } });
    expect(warnings).toEqual(["there is no cluster and no --snapshot: which pods there are is what the broker recorded"]);
  });

  it("says what makes a record less than it looks", async () => {
    const young = new Date(Date.now() - 600_000).toISOString().slice(0, -1);
    const web = pod("shop", "web", undefined, "spec: {hostNetwork: true}\n");
    const { profiles } = await generate({ syscalls: [row("web", { syscalls: "read,write,470,openat", time_stamp: young })] }, [web], {
      name: "web",
      defaultAction: "log",
    });
    const text = profiles[0].warnings.join("\n");
    expect(text).toMatch(/lacks calls that every program makes \(memory, close\).*will be logged/);
    expect(text).toMatch(/recorded for 10m\d*s? only: what happens seldom will be logged/);
    expect(text).toContain("1 call recorded by number only (470)");
    expect(text).toContain("host network");
  });

  it("leaves hostile records out, counts them, and fails on them where it is told to", async () => {
    const many = Array.from({ length: 100_000 }, (_, i) => `c${i}`).join(",");
    const syscalls = [
      row("db-1"),
      row("db-1", { syscalls: "read,\u001b[2J" }),
      row("db-1", { syscalls: many }),
      row("db-1", { syscalls: 5 }),
    ];
    const { profiles, warnings } = await generate({ syscalls }, DB, { name: "db" });
    expect(profiles[0].made.observed).toEqual(FULL.split(",").sort());
    expect(warnings).toEqual([
      "1 record of the broker could not be used: syscalls holds what is no name of a system call",
      "1 record of the broker could not be used: syscalls holds more names than there are system calls",
      "1 record of the broker could not be used: pod_name, syscalls or arch is missing",
    ]);
    await broker?.stop();
    await expect(generate({ syscalls }, DB, { name: "db", strict: true })).rejects.toThrow(/\(--strict\)$/);
  });

  it("names an architecture that it does not know", async () => {
    await expect(generate({ syscalls: [row("db-1", { arch: "pdp11" })] }, DB, { name: "db" })).rejects.toThrow(
      "shop/sts/db: the architecture `pdp11` of its record is none that seccomp filters are made for",
    );
  });

  it.each([
    [{}, /^name a workload \(`deploy\/web`, or a pod\), or give --all/],
    [{ name: "db", all: true }, /^`db` and --all exclude each other$/],
    [{ name: "dbb" }, /^no workload or pod `dbb` in namespace `shop`; did you mean `db`\?$/],
    [{ name: "deploy/db" }, /^no `deploy\/db` in namespace `shop`; did you mean shop\/sts\/db\?$/],
    [{ name: "db", namespace: "elsewhere" }, /^no `db` in namespace `elsewhere`; there is pay\/sts\/db, shop\/sts\/db: give -n$/],
    [{ all: true, namespace: "elsewhere" }, /^no pod is known in namespace `elsewhere` \(there are pay, shop\): give -n NAMESPACE, or -A$/],
    [{ name: "web" }, /^shop\/pod\/web: the broker has no system calls of its 1 pod; see that the controller runs/],
    [{ all: true }, /^no profile can be made of any of 2 workloads of namespace `shop`: shop\/pod\/web: the broker has no/],
    [{ name: "db", defaultAction: "SCMP_ACT_ALLOW" }, /^--default-action: `SCMP_ACT_ALLOW` allows what no rule names/],
  ])("refuses %j", async (flags, message) => {
    await expect(generate({ syscalls: [] }, DB, flags)).rejects.toThrow(message);
  });

  it.skipIf(!hasRecordings())("makes a profile of what a real broker recorded", async () => {
    broker = await startRecordedBroker({ recordings: RECORDINGS });
    const flags = {
      all: false,
      allNamespaces: true,
      namespace: undefined,
      name: undefined,
      defaultAction: "errno",
      baseline: true,
      strict: true,
    };
    const { profiles } = await generateSeccomp({ ...flags, brokerUrl: broker.url, snapshot: [join(RECORDINGS, "world.json")] });
    expect(profiles.map(({ file, pods, made }) => [file, pods, made.observed])).toEqual([
      ["shop-web-seccomp.json", { seen: 4, known: 4 }, ["epoll_pwait", "futex", "openat", "read", "write"]],
    ]);
  });
});

describe("readSyscallRow", () => {
  it("reads a list as text or as an array, empty ends and all", () => {
    expect(readSyscallRow(row("a", { syscalls: "read, write,,470," }))).toMatchObject({
      syscalls: ["read", "write", "470"],
      podNamespace: undefined,
    });
    expect(readSyscallRow(row("a", { syscalls: ["read", "write"] }))).toMatchObject({ syscalls: ["read", "write"] });
    expect(readSyscallRow(row("a", { syscalls: "" }))).toMatchObject({ syscalls: [] });
  });

  it.each([[["read", null]], [["read", { a: 1 }]], ["Read"], ["read\n"], ["read;rm"], ["é"]])("refuses %j", (syscalls) => {
    const read = readSyscallRow(row("a", { syscalls }));
    if (syscalls === "read\n") expect(read).toMatchObject({ syscalls: ["read"] });
    else expect(read).toBe("syscalls holds what is no name of a system call");
  });
});

const SCRIPT = `
import { runCommandLine } from ${JSON.stringify(join(ROOT, "src/cli/run.ts"))};
process.exitCode = await runCommandLine(process.argv.slice(1), "0", {
  "gen:seccomp": () => import(${JSON.stringify(join(ROOT, "commands/gen/seccomp.ts"))}),
});`;

/** Runs the command in a process of its own, without any cluster. */
function run(args: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", SCRIPT, "--", "gen", "seccomp", ...args], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: join(folder, "home"), NO_COLOR: "1", ...(broker ? { KGUARDIAN_BROKER_URL: broker.url } : {}) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [out, err] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (err += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}

describe("gen seccomp, as it is typed", () => {
  it("writes files, and overwrites only its own", async () => {
    broker = await startRecordedBroker({ podInfo: [], syscalls: [row("db-0", { pod_namespace: "shop" }), row("db-1"), row("web")] });
    const directory = join(folder, "profiles");
    const args = ["--all", "-n", "shop", "--snapshot", snapshot(...DB), "--output-dir", directory];
    const { code, out, err } = await run(args);
    expect([code, err]).toEqual([0, ""]);
    expect(readdirSync(directory).sort()).toEqual(["shop-db-seccomp.json", "shop-web-seccomp.json"]);
    expect(JSON.parse(readFileSync(join(directory, "shop-db-seccomp.json"), "utf8")).defaultAction).toBe("SCMP_ACT_ERRNO");
    expect(out).toMatch(/shop-db-seccomp\.json\s+shop\/sts\/db\s+8\s+\d+\s+2 of 2\s+/);
    expect(out).toContain("localhostProfile: FILE");
    expect(await run([...args, "--default-action", "log"])).toMatchObject({ code: 0 });
    writeFileSync(join(directory, "shop-web-seccomp.json"), '{"defaultAction":"SCMP_ACT_LOG"}');
    rmSync(join(directory, "shop-db-seccomp.json"));
    const refused = await run(args);
    expect(refused).toMatchObject({
      code: 2,
      out: "",
      err: expect.stringMatching(/^error: .*shop-web-seccomp\.json is not of this program/),
    });
    expect(existsSync(join(directory, "shop-db-seccomp.json"))).toBe(false);
  });

  it("prints the profile alone to standard output", async () => {
    broker = await startRecordedBroker({ podInfo: [], syscalls: [row("web")] });
    const args = ["pod/web", "-n", "shop", "--snapshot", snapshot(...DB)];
    const { code, out, err } = await run([...args, "--output-dir="]);
    expect(code).toBe(0);
    expect(JSON.parse(out).architectures).toEqual(["SCMP_ARCH_X86_64"]);
    expect(err).toContain("localhostProfile: shop-web-seccomp.json");
    const bare = JSON.parse((await run([...args, "--output-dir=", "--no-baseline", "-o", "json"])).out);
    expect(bare).toMatchObject({
      kind: "SeccompReport",
      baseline: false,
      profiles: [{ file: null, added: [], profile: { defaultErrnoRet: 1 } }],
    });
  });

  it("says in one line why a directory cannot be written to, and where there is no broker", async () => {
    broker = await startRecordedBroker({ podInfo: [], syscalls: [row("web")] });
    mkdirSync(join(folder, "taken", "shop-web-seccomp.json"), { recursive: true });
    const { code, err } = await run(["web", "-n", "shop", "--snapshot", snapshot(...DB), "--output-dir", join(folder, "taken")]);
    expect([code, err.trimEnd().split("\n").length]).toEqual([2, 1]);
    await broker.stop();
    broker = undefined;
    expect(await run(["web"])).toMatchObject({ code: 2, err: expect.stringMatching(/^error: no broker: give --broker-url URL/) });
  });
});
