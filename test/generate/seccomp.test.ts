import { describe, expect, it } from "vitest";
import {
  DEFAULT_ACTIONS,
  denies,
  isOwnProfile,
  type MadeProfile,
  makeProfile,
  parseDefaultAction,
  profileFiles,
  type SyscallSighting,
} from "../../src/generate/seccomp.ts";

const options = { defaultAction: "SCMP_ACT_ERRNO", withBaseline: true, label: "shop/deploy/web" } as const;
const seen = (syscalls: string, architecture = "x86_64"): SyscallSighting => ({ architecture, syscalls: syscalls.split(" ") });
const made = (sightings: readonly SyscallSighting[], changes: object = {}): MadeProfile =>
  makeProfile(sightings, { ...options, ...changes }) as MadeProfile;
const why = (sightings: readonly SyscallSighting[]) => makeProfile(sightings, options) as { readonly why: string };

/** Field types of LinuxSeccomp in the OCI runtime spec (config-linux.md). */
function isOfTheSpec(profile: MadeProfile["profile"]): void {
  expect(Object.keys(profile)).toEqual(
    ["defaultAction", "defaultErrnoRet", "architectures", "syscalls"].filter(
      (key) => key !== "defaultErrnoRet" || profile.defaultErrnoRet !== undefined,
    ),
  );
  for (const rule of profile.syscalls) {
    expect(rule.names.length).toBeGreaterThan(0);
    expect(rule.action).toBe("SCMP_ACT_ALLOW");
    expect(rule.names).toEqual([...new Set(rule.names)].sort());
  }
  const all = profile.syscalls.flatMap(({ names }) => names);
  expect(new Set(all).size).toBe(all.length);
}

describe("makeProfile", () => {
  it("allows what any of the pods was seen to call, sorted and once", () => {
    const { profile, observed } = made([seen("write read close"), seen("read mmap execve")], { withBaseline: false });
    expect(observed).toEqual(["close", "execve", "mmap", "read", "write"]);
    expect(profile).toEqual({
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 1,
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [{ names: observed, action: "SCMP_ACT_ALLOW", comment: "kguardian: what pods of shop/deploy/web were seen to call" }],
    });
  });

  it("adds what runtimes call under the filter and what programs need to start, but none of what they do before", () => {
    const { profile, added, observed } = made([seen("read write accept4")]);
    isOfTheSpec(profile);
    // opencontainers/runc#2097 and moby/moby#22252: without these nothing starts.
    for (const name of [
      "capget",
      "capset",
      "chdir",
      "close",
      "execve",
      "fchown",
      "futex",
      "getppid",
      "newfstatat",
      "openat",
      "prctl",
      "setgid",
      "setgroups",
      "setuid",
    ])
      expect([...added, ...observed]).toContain(name);
    for (const name of ["brk", "mmap", "exit_group", "rt_sigreturn", "arch_prctl", "set_tid_address"]) expect(added).toContain(name);
    for (const name of [
      "mount",
      "unshare",
      "setns",
      "pivot_root",
      "ptrace",
      "bpf",
      "clone",
      "socket",
      "keyctl",
      "execveat",
      "personality",
      "kill",
    ])
      expect(added).not.toContain(name);
    expect(added).not.toContain("read");
    expect(profile.syscalls[1].names).toEqual(added);
    expect(profile.syscalls[1].comment).toContain("--no-baseline");
  });

  it("leaves the second rule out where all of it was seen", () => {
    const { added } = made([seen("read")]);
    const { profile } = made([{ architecture: "x86_64", syscalls: [...added, "read"] }]);
    expect(profile.syscalls).toHaveLength(1);
  });

  it("gives an error number only beside an action that takes one", () => {
    for (const defaultAction of DEFAULT_ACTIONS) {
      const { profile } = made([seen("read")], { defaultAction });
      isOfTheSpec(profile);
      expect(profile.defaultErrnoRet).toBe(defaultAction === "SCMP_ACT_ERRNO" ? 1 : undefined);
    }
  });

  it.each([
    ["x86_64", "SCMP_ARCH_X86_64"],
    ["amd64", "SCMP_ARCH_X86_64"],
    ["AArch64", "SCMP_ARCH_AARCH64"],
    ["arm64", "SCMP_ARCH_AARCH64"],
    ["armv7l", "SCMP_ARCH_ARM"],
    ["i686", "SCMP_ARCH_X86"],
    ["i386", "SCMP_ARCH_X86"],
    ["ppc64le", "SCMP_ARCH_PPC64LE"],
    ["s390x", "SCMP_ARCH_S390X"],
    ["riscv64", "SCMP_ARCH_RISCV64"],
    ["mips64el", "SCMP_ARCH_MIPSEL64"],
    ["loong64", "SCMP_ARCH_LOONGARCH64"],
  ])("knows %s, and allows none of its compatible ones", (name, constant) => {
    expect(made([seen("read", name)]).profile.architectures).toEqual([constant]);
  });

  it("puts several architectures of one byte order into one profile", () => {
    expect(made([seen("read", "x86_64"), seen("write", "aarch64")]).profile.architectures).toEqual([
      "SCMP_ARCH_AARCH64",
      "SCMP_ARCH_X86_64",
    ]);
    expect(made([seen("read", "armv7l")]).added).toEqual(expect.arrayContaining(["mmap2", "setuid32", "sigreturn"]));
    expect(made([seen("read", "aarch64")]).added).not.toContain("mmap2");
  });

  it("refuses what would make no filter that loads", () => {
    expect(why([seen("read", "x86_64"), seen("read", "s390x")]).why).toMatch(/both byte orders \(SCMP_ARCH_S390X, SCMP_ARCH_X86_64\)/);
    expect(why([seen("read", "pdp11\u001b")]).why).toContain("`pdp11\u001b`");
    expect(why([seen("read", "__proto__")]).why).toContain("`__proto__`");
    expect(why([]).why).toBe("no system call of it is recorded");
    expect(why([{ architecture: "x86_64", syscalls: Array.from({ length: 1025 }, (_, i) => `call${i}`) }]).why).toMatch(
      /names 1025 system calls/,
    );
  });

  it("tells calls without a name from those that can be allowed", () => {
    const { observed, unnamed, profile } = made([seen("read 470 9 462")]);
    expect(observed).toEqual(["read"]);
    expect(unnamed).toEqual(["9", "462", "470"]);
    expect(profile.syscalls.flatMap(({ names }) => names).filter((name) => /^\d/.test(name))).toEqual([]);
    expect(why([seen("470")]).why).toBe("no system call of it is recorded");
  });

  it("tells a record of a few kinds of calls from one that came late", () => {
    // What the controller records at the levels `low` and `high`: no memory, no closing; no memory.
    expect(made([seen("execve openat read write socket connect exit_group")]).gap).toBe("partial");
    expect(made([seen("execve openat close socket connect exit_group")]).gap).toBe("partial");
    expect(made([seen("mmap close read write epoll_pwait")]).gap).toBe("late");
    expect(made([seen("execve brk close read write")]).gap).toBeUndefined();
  });
});

describe("parseDefaultAction", () => {
  it.each([
    ["SCMP_ACT_LOG", "SCMP_ACT_LOG"],
    ["log", "SCMP_ACT_LOG"],
    ["errno", "SCMP_ACT_ERRNO"],
    ["scmp_act_kill_process", "SCMP_ACT_KILL_PROCESS"],
  ])("takes %s", (text, action) => expect(parseDefaultAction(text)).toBe(action));

  it.each([
    ["SCMP_ACT_ALLOW", "would deny nothing"],
    ["trace", "tracer"],
    ["notify", "runc refuses"],
    ["constructor", "no action of the OCI runtime spec"],
    ["", "no action"],
  ])("refuses %s", (text, because) => expect((parseDefaultAction(text) as { why: string }).why).toContain(because));

  it("knows which deny", () => expect(DEFAULT_ACTIONS.filter((action) => !denies(action))).toEqual(["SCMP_ACT_LOG"]));
});

describe("profileFiles", () => {
  const files = (...workloads: readonly (readonly [string, string, string])[]) =>
    [...profileFiles(workloads.map(([namespace, kind, name]) => ({ namespace, kind, name }))).values()].sort();

  it("names a file by namespace and workload, by the kind where two would have the same", () => {
    expect(files(["shop", "Deployment", "web"])).toEqual(["shop-web-seccomp.json"]);
    expect(files(["shop", "Deployment", "web"], ["shop", "StatefulSet", "web"])).toEqual([
      "shop-deployment-web-seccomp.json",
      "shop-statefulset-web-seccomp.json",
    ]);
  });

  it("gives each its own, whatever they are called", () => {
    const all = files(
      ["a-b", "Deployment", "c"],
      ["a", "Deployment", "b-c"],
      ["a-b-deployment", "Pod", "c"],
      ["a", "Pods", "x,y"],
      ["a", "Pods", "x=y"],
      ["A", "Pods", "X=y"],
    );
    expect(new Set(all.map((file) => file.toLowerCase())).size).toBe(6);
  });

  it("leads nowhere else", () => {
    for (const file of files(["..", "Pod", "../../etc/passwd"], ["shop", "Pod", "x".repeat(5000)], ["a\u001b[2J", "Pod", "b\n"])) {
      expect(file).toMatch(/^[A-Za-z0-9_-][A-Za-z0-9._-]*-seccomp\.json$/);
      expect(file.length).toBeLessThanOrEqual(255);
    }
  });
});

describe("isOwnProfile", () => {
  it.each([
    [true, JSON.stringify(made([seen("read")]).profile)],
    [false, '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}'],
    [false, '{"syscalls":[null,{"comment":5}]}'],
    [false, "# notes"],
    [false, ""],
    [false, "null"],
  ])("%s: %s", (isOurs, text) => expect(isOwnProfile(text)).toBe(isOurs));
});
