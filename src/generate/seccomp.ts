/*
 * Seccomp profiles from the system calls that pods were seen to make. What a profile may hold is the OCI runtime spec's
 * (config-linux.md, "Seccomp"); what starts under it hangs on the runtimes, whose sources are named where they matter.
 */

/** One pod's record: what it was seen to call, and on which machine. */
export interface SyscallSighting {
  /** As `uname -m`, Rust or Go name it. */
  readonly architecture: string;
  /** Names; a number where the recorder knew no name for it. */
  readonly syscalls: readonly string[];
}

/** A rule of a profile. `comment` is no field of the spec: containers/common and moby have it, other readers leave it out. */
export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: "SCMP_ACT_ALLOW";
  readonly comment: string;
}

/** A profile as container runtimes read it. */
export interface SeccompProfile {
  readonly defaultAction: DefaultAction;
  /** Only beside SCMP_ACT_ERRNO: with an action that takes none, the spec wants the runtime to fail, and crun does. */
  readonly defaultErrnoRet?: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly SeccompRule[];
}

/**
 * What may become of a call that no rule allows. Of the spec's actions are missing: ALLOW, which would be no filter; NOTIFY, which
 * runc refuses as a default; TRACE, under which every such call fails unless a tracer is attached.
 */
export const DEFAULT_ACTIONS = [
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_LOG",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_KILL",
  "SCMP_ACT_TRAP",
] as const;
export type DefaultAction = (typeof DEFAULT_ACTIONS)[number];

const UNFIT_ACTIONS: Readonly<Record<string, string>> = {
  SCMP_ACT_ALLOW: "allows what no rule names, so that the profile would deny nothing",
  SCMP_ACT_NOTIFY: "needs an agent that answers every call, and runc refuses it as a default",
  SCMP_ACT_TRACE: "needs a tracer on every process: without one the calls fail",
};

/** Returns the action that a text names, in any case and with or without its prefix; else why it is none, to complete "`X` …". */
export function parseDefaultAction(text: string): DefaultAction | { readonly why: string } {
  const upper = text.toUpperCase();
  const name = upper.startsWith("SCMP_ACT_") ? upper : `SCMP_ACT_${upper}`;
  const found = DEFAULT_ACTIONS.find((action) => action === name);
  if (found !== undefined) return found;
  const why = Object.hasOwn(UNFIT_ACTIONS, name) ? UNFIT_ACTIONS[name] : "is no action of the OCI runtime spec";
  return { why: `${why}; give one of ${DEFAULT_ACTIONS.join(", ")}` };
}

/** Reports whether an action denies a call, and does not only log it. */
export function denies(action: DefaultAction): boolean {
  return action !== "SCMP_ACT_LOG";
}

const EPERM = 1;

interface Architecture {
  readonly constant: string;
  readonly isBigEndian: boolean;
  /** Of 32 bits: several calls have other names there. */
  readonly isNarrow: boolean;
}

function architecture(constant: string, flags = ""): Architecture {
  return { constant: `SCMP_ARCH_${constant}`, isBigEndian: flags.includes("B"), isNarrow: flags.includes("N") };
}

/** By the names of `uname -m`, Rust (what kguardian's controller sends) and Go. */
const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map(
  (
    [
      [architecture("X86_64"), "x86_64 amd64"],
      [architecture("X86", "N"), "x86 i386 i486 i586 i686 386"],
      [architecture("AARCH64"), "aarch64 arm64"],
      [architecture("ARM", "N"), "arm armv5l armv6l armv7l armv8l"],
      [architecture("PPC64LE"), "ppc64le powerpc64le"],
      [architecture("PPC64", "B"), "ppc64"],
      [architecture("PPC", "BN"), "ppc powerpc"],
      [architecture("S390X", "B"), "s390x"],
      [architecture("S390", "BN"), "s390"],
      [architecture("RISCV64"), "riscv64 riscv64gc"],
      [architecture("LOONGARCH64"), "loongarch64 loong64"],
      [architecture("MIPS", "BN"), "mips"],
      [architecture("MIPS64", "B"), "mips64"],
      [architecture("MIPSEL", "N"), "mipsel mipsle"],
      [architecture("MIPSEL64"), "mips64el mips64le mipsel64"],
    ] as const
  ).flatMap(([entry, names]) => names.split(" ").map((name): [string, Architecture] => [name, entry])),
);

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

/**
 * What the runtime itself calls between loading the filter and execve, where the container may gain privileges (Kubernetes' default):
 * the filter is loaded before capabilities are dropped and the user is changed. From runc's standard_init_linux.go and
 * init_linux.go (finalizeNamespace, the exec fifo, closing of files, Go's own scheduler), crun's container.c, the lists that
 * opencontainers/runc#2097 and moby/moby#22252 found by trial, and the base profiles of the Security Profiles Operator for both.
 * What both do before they load it (mount, pivot_root, unshare, setns, mknodat, sethostname) is not among them.
 */
const RUNTIME_CALLS = words(`
  capget capset chdir close close_range epoll_create1 epoll_ctl epoll_pwait eventfd2 execve faccessat faccessat2 fchown fcntl fstat
  fstatfs futex getcwd getdents64 getegid geteuid getgid getpid getppid gettid getuid lstat madvise mmap munmap nanosleep newfstatat
  open openat openat2 prctl pselect6 read readlink readlinkat rt_sigaction rt_sigprocmask rt_sigreturn sched_yield select setgid
  setgroups setresgid setresuid setuid sigaltstack stat statfs statx tgkill umask write`);

/**
 * What any program calls when it starts and ends, whichever C library it has, and what the kernel makes it call: the loader, thread
 * set-up, the return from a signal's handler, the restart of an interrupted call. A recorder that came late has not seen them.
 */
const PROGRAM_CALLS = words(`
  access arch_prctl brk close execve exit exit_group faccessat fstat futex getpid getrandom lseek mmap mprotect mremap munmap newfstatat
  open openat pread64 prlimit64 read readlink readlinkat restart_syscall rseq rt_sigaction rt_sigprocmask rt_sigreturn set_robust_list
  set_tid_address stat uname write writev`);

/** The same on machines of 32 bits. */
const NARROW_CALLS = words(`
  _llseek _newselect clock_nanosleep_time64 fchown32 fcntl64 fstat64 fstatat64 fstatfs64 futex_time64 getegid32 geteuid32 getgid32
  getuid32 lstat64 mmap2 pselect6_time64 set_thread_area set_tls setgid32 setgroups32 setresgid32 setresuid32 setuid32 sigreturn stat64
  statfs64 ugetrlimit`);

/** What begins the comments of every profile of ours. */
export const PROFILE_MARK = "kguardian:";

/** More names than any kernel has calls: x86_64 has under 400, all machines together under 600. */
const MOST_NAMES = 1024;

export interface ProfileOptions {
  readonly defaultAction: DefaultAction;
  /** Add what containers and programs need to start. */
  readonly withBaseline: boolean;
  /** What the pods are called, for the profile's comment. */
  readonly label: string;
}

export interface MadeProfile {
  readonly profile: SeccompProfile;
  /** Names that were seen, sorted. */
  readonly observed: readonly string[];
  /** Names that were added for containers and programs to start, sorted. */
  readonly added: readonly string[];
  /** Calls that were seen and that nobody knows a name for: a profile cannot allow them. */
  readonly unnamed: readonly string[];
  /** How the record itself looks incomplete. */
  readonly gap: RecordGap | undefined;
}

/**
 * `partial`: calls are missing that any program makes all the time, so that only some calls were recorded or none of the start;
 * `late`: the start was not seen.
 */
export type RecordGap = "partial" | "late";

/** Why no profile can be made, to complete "shop/deploy/web: …". */
export interface NoProfile {
  readonly why: string;
}

/** Returns the profile that allows what some pods were seen to call, all together. */
export function makeProfile(sightings: readonly SyscallSighting[], options: ProfileOptions): MadeProfile | NoProfile {
  const machines = new Map<string, Architecture>();
  for (const { architecture: name } of sightings) {
    const found = ARCHITECTURES.get(name.toLowerCase());
    if (found === undefined)
      return { why: `the architecture \`${name.slice(0, 40)}\` of its record is none that seccomp filters are made for` };
    machines.set(found.constant, found);
  }
  const architectures = [...machines.values()];
  // libseccomp (db_col_db_add) refuses a filter of both byte orders: no container would start with it, on any node.
  if (new Set(architectures.map(({ isBigEndian }) => isBigEndian)).size > 1)
    return {
      why: `its pods run on machines of both byte orders (${[...machines.keys()].sort().join(", ")}), and one filter cannot hold both: make it of each node's pods by themselves`,
    };
  const seen = new Set(sightings.flatMap(({ syscalls }) => syscalls));
  const unnamed = [...seen].filter((name) => /^\d+$/.test(name)).sort((a, b) => Number(a) - Number(b));
  const observed = [...seen].filter((name) => !/^\d+$/.test(name)).sort();
  if (observed.length === 0) return { why: "no system call of it is recorded" };
  if (observed.length > MOST_NAMES) return { why: `its record names ${observed.length} system calls, more than there are` };
  const isNarrow = architectures.some((each) => each.isNarrow);
  const baseline = options.withBaseline ? [...RUNTIME_CALLS, ...PROGRAM_CALLS, ...(isNarrow ? NARROW_CALLS : [])] : [];
  // No name twice: libseccomp refuses a rule that is there already in some versions.
  const added = [...new Set(baseline)].filter((name) => !seen.has(name)).sort();
  return { profile: profileOf(observed, added, [...machines.keys()].sort(), options), observed, added, unnamed, gap: gapOf(seen) };
}

function profileOf(
  observed: readonly string[],
  added: readonly string[],
  architectures: readonly string[],
  { defaultAction, label }: ProfileOptions,
): SeccompProfile {
  const allow = (names: readonly string[], comment: string): SeccompRule[] =>
    names.length === 0 ? [] : [{ names, action: "SCMP_ACT_ALLOW", comment: `${PROFILE_MARK} ${comment}` }];
  return {
    defaultAction,
    ...(defaultAction === "SCMP_ACT_ERRNO" ? { defaultErrnoRet: EPERM } : {}),
    architectures,
    syscalls: [
      ...allow(observed, `what pods of ${label} were seen to call`),
      ...allow(
        added,
        "not seen, needed for the runtime to start a container and for any program to start and end (--no-baseline leaves them out)",
      ),
    ],
  };
}

function gapOf(seen: ReadonlySet<string>): RecordGap | undefined {
  const hasAny = (...names: readonly string[]) => names.some((name) => seen.has(name));
  if (!hasAny("mmap", "mmap2", "brk", "munmap") || !hasAny("close")) return "partial";
  return hasAny("execve", "execveat") ? undefined : "late";
}

/** Reports whether a text is a profile that this program wrote. */
export function isOwnProfile(text: string): boolean {
  try {
    const { syscalls } = JSON.parse(text) as { readonly syscalls?: unknown };
    return Array.isArray(syscalls) && syscalls.some((rule) => String((rule as SeccompRule | null)?.comment).startsWith(PROFILE_MARK));
  } catch {
    return false;
  }
}

/** A workload, as its profile's file is named by. */
export interface NamedWorkload {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
}

/**
 * Returns the file of each workload's profile: `<namespace>-<name>-seccomp.json`, with the kind where two would have the same. They
 * hang on all workloads that are known, not on those that are asked for: another run must not write one's profile over another's.
 */
export function profileFiles<Workload extends NamedWorkload>(workloads: readonly Workload[]): ReadonlyMap<Workload, string> {
  const files = new Map<Workload, string>();
  const used = new Set<string>();
  const plain = Map.groupBy(workloads, ({ namespace, name }) => fileName(`${namespace}-${name}`).toLowerCase());
  const order = (workload: Workload) => JSON.stringify([workload.namespace, workload.kind, workload.name]);
  for (const same of plain.values()) {
    for (const workload of same.toSorted((a, b) => (order(a) < order(b) ? -1 : 1))) {
      const { namespace, kind, name } = workload;
      const base = same.length === 1 ? `${namespace}-${name}` : `${namespace}-${kind.toLowerCase()}-${name}`;
      let file = fileName(base);
      for (let count = 2; used.has(file.toLowerCase()) || (same.length > 1 && plain.has(file.toLowerCase())); count++)
        file = fileName(`${base}-${count}`);
      used.add(file.toLowerCase());
      files.set(workload, file);
    }
  }
  return files;
}

/** A file of a name that leads nowhere else and that the kubelet takes as a path below its folder. */
function fileName(base: string): string {
  const safe = base.replace(/[^A-Za-z0-9._-]/g, "-").replace(/^\.+/, "");
  return `${safe.slice(0, 235)}-seccomp.json`;
}
