/*
 * Defaults of flags that users set for themselves, by an environment variable or in the configuration file. A flag on the command line
 * goes before a variable, a variable before the file, the file before what is built in. docs/config.md lists them.
 */

/** One default that users may set. */
export interface Setting {
  /** The field of the configuration file. */
  readonly field: string;
  readonly flag: string;
  readonly variable: string;
  /** Takes several values: a list in the file; in the variable, paths are parted as in PATH. */
  readonly isList?: true;
  /** Paths are told from the file that names them. */
  readonly isPath?: true;
  /** Takes the place of a built-in default. Where a flag has none, its absence means something to the command. */
  readonly replacesBuiltIn?: true;
  /** The file stands in for the variable, not for the flag: a flag would say more (`--broker-url` beside a capture asks both). */
  readonly fillsVariable?: true;
  /** It changes what a command finds, so that a value from the file is told. */
  readonly isTold?: true;
  /** Commands to which the flag means something else. */
  readonly notFor?: readonly string[];
  /** Flags and variables beside which it does not count. */
  readonly unlessFlags?: readonly string[];
  readonly unlessVariable?: string;
}

export const SETTINGS: readonly Setting[] = [
  { field: "output", flag: "output", variable: "KGUARDIAN_OUTPUT", replacesBuiltIn: true },
  { field: "color", flag: "color", variable: "KGUARDIAN_COLOR", replacesBuiltIn: true, unlessVariable: "NO_COLOR" },
  { field: "cni", flag: "cni", variable: "KGUARDIAN_CNI", replacesBuiltIn: true, isTold: true },
  {
    field: "snapshot",
    flag: "snapshot",
    variable: "KGUARDIAN_SNAPSHOT",
    isList: true,
    isPath: true,
    isTold: true,
    // `snapshot` would save a snapshot of itself, and a PolicyTest names its own.
    notFor: ["snapshot", "test"],
    // Who names a cluster means that cluster.
    unlessFlags: ["context", "kubeconfig"],
  },
  { field: "context", flag: "context", variable: "KGUARDIAN_CONTEXT", isTold: true, unlessFlags: ["kubeconfig"] },
  // Of audit policies in files, no namespace is all of them.
  {
    field: "namespace",
    flag: "namespace",
    variable: "KGUARDIAN_NAMESPACE",
    isTold: true,
    notFor: ["audit:promote"],
    unlessFlags: ["all-namespaces"],
  },
  { field: "requestTimeout", flag: "request-timeout", variable: "KGUARDIAN_REQUEST_TIMEOUT" },
  { field: "brokerUrl", flag: "broker-url", variable: "KGUARDIAN_BROKER_URL", fillsVariable: true, isTold: true },
  { field: "brokerService", flag: "broker-service", variable: "KGUARDIAN_BROKER_SERVICE", isTold: true },
  { field: "brokerNamespace", flag: "broker-namespace", variable: "KUBE_GUARDIAN_NAMESPACE", isTold: true },
  {
    field: "brokerTokenFile",
    flag: "broker-token-file",
    variable: "KGUARDIAN_BROKER_TOKEN_FILE",
    isPath: true,
    unlessVariable: "KGUARDIAN_BROKER_TOKEN",
  },
];

/** What of a flag matters here; of oclif's class and of the embedded manifest alike. */
export interface FlagShape {
  readonly type?: string;
  readonly multiple?: boolean;
  readonly options?: readonly string[];
  readonly default?: unknown;
  /** oclif's; the manifest has none. */
  readonly parse?: (text: string) => Promise<unknown>;
}

/** Returns the setting that gives a command's flag its default, if there is one. `id` as oclif has it: `gen:networkpolicy`. */
export function settingOf(id: string, name: string, flag: FlagShape): Setting | undefined {
  const setting = SETTINGS.find((each) => each.flag === name);
  if (setting === undefined || setting.notFor?.includes(id)) return undefined;
  if (setting.replacesBuiltIn && flag.default === undefined) return undefined;
  return setting;
}

/** Reports whether a command's flag takes a value. One default serves commands that print different things. */
export function accepts(flag: FlagShape, value: string): boolean {
  return flag.options === undefined || flag.options.includes(value);
}
