import { existsSync, readFileSync } from "node:fs";
import type { Agent } from "node:http";
import { type RequestOptions, Agent as SecureAgent } from "node:https";
import { homedir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { textAt, valueAt } from "../cluster/cni.ts";
import { readManifest } from "../cluster/manifest.ts";
import { parseAddress } from "../net/address.ts";
import { parsePrefix, prefixContains } from "../net/prefix.ts";
import { DEFAULT_TIMEOUTS, nameOf, type Server } from "./http.ts";
import { LiveError } from "./liveError.ts";

/** What a user says of where the cluster is, as to kubectl. */
export interface ClusterFlags {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  /** A single request may take so long, seconds; 0: as long as the defaults allow. */
  readonly requestTimeout?: number | undefined;
}

const IN_CLUSTER_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/** Returns the kubeconfig files that a call without --kubeconfig would use (Kubernetes: Organizing Cluster Access Using kubeconfig Files). */
function defaultFiles(): readonly string[] {
  const named = (process.env.KUBECONFIG ?? "").split(delimiter).filter((file) => file !== "");
  if (named.length > 0) return named.filter((file) => existsSync(file));
  const own = join(process.env.HOME ?? homedir(), ".kube", "config");
  return existsSync(own) ? [own] : [];
}

/** Reports whether anything tells of a cluster: a kubeconfig, or that this runs in a pod. */
export function hasClusterConfiguration({ kubeconfig }: Pick<ClusterFlags, "kubeconfig">): boolean {
  return kubeconfig !== undefined || defaultFiles().length > 0 || isInCluster();
}

function isInCluster(): boolean {
  return process.env.KUBERNETES_SERVICE_HOST !== undefined && existsSync(IN_CLUSTER_TOKEN);
}

/** Reads one file. Its text never gets into messages: it holds keys and tokens. */
function readFile(file: string): KubeConfig {
  const config = new KubeConfig();
  try {
    config.loadFromFile(file);
    addTokenFiles(config, file);
    resolveCommands(config, file);
  } catch (error) {
    const { code, message, path } = error as NodeJS.ErrnoException;
    const at = path === undefined || path === file ? "" : `${path}: `;
    const why =
      code === "ENOENT"
        ? `${at}no such file`
        : code === "EACCES"
          ? `${at}permission denied`
          : /^(clusters|users|contexts)\[\d+\]\.[\w.]+ is missing$/.test(message)
            ? message
            : "not a kubeconfig file";
    throw new LiveError("configuration", `kubeconfig ${file}: ${why}`);
  }
  return config;
}

/** client-node does not know `tokenFile` (Kubernetes: kubeconfig v1, AuthInfo), which goes before `token`. */
function addTokenFiles(config: KubeConfig, file: string): void {
  const text = readFileSync(file, "utf8");
  if (!text.includes("tokenFile")) return;
  let users: unknown;
  try {
    users = valueAt(readManifest(text, file)[0]?.value, "users");
  } catch {
    // Without apiVersion and kind, which kubectl does not ask for either.
    return;
  }
  const files = new Map(Array.isArray(users) ? users.map((user) => [textAt(user, "name"), textAt(user, "user", "tokenFile")]) : []);
  config.users = config.users.map((user) => {
    const tokenFile = files.get(user.name) ?? "";
    if (tokenFile === "") return user;
    const { token: _, ...rest } = user;
    const path = resolve(dirname(file), tokenFile);
    const token = existsSync(path) ? tokenIn(path) : "";
    // Of another context's user it is no matter that the file cannot be read; of this one's, client-node says so when it wants it.
    return token === "" ? { ...rest, authProvider: { name: "tokenFile", config: { tokenFile: path } } } : { ...rest, token };
  });
}

/** Commands with a slash are below the kubeconfig's folder, others on PATH (Kubernetes: kubeconfig v1, ExecConfig). */
function resolveCommands(config: KubeConfig, file: string): void {
  for (const { exec } of config.users as readonly { readonly exec?: { command?: unknown } | null }[])
    if (typeof exec?.command === "string" && /[\\/]/.test(exec.command)) exec.command = resolve(dirname(file), exec.command);
}

function tokenIn(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

/** Joins files as kubectl does: of entries of one name the first counts, and the first current-context. */
function merge(configs: readonly KubeConfig[]): KubeConfig {
  const merged = new KubeConfig();
  const addNew = <Entry extends { readonly name: string }>(
    known: readonly Entry[],
    entries: readonly Entry[],
    add: (entry: Entry) => void,
  ) => {
    for (const entry of entries) if (!known.some(({ name }) => name === entry.name)) add(entry);
  };
  for (const config of configs) {
    addNew(merged.clusters, config.clusters, (entry) => merged.addCluster(entry));
    // Port-forwards take tokens as they stand here.
    const users = config.users.map((user) => (typeof user.token === "string" ? { ...user, token: user.token.trim() } : user));
    addNew(merged.users, users, (entry) => merged.addUser(entry));
    addNew(merged.contexts, config.contexts, (entry) => merged.addContext(entry));
    if (!merged.currentContext && config.currentContext) merged.setCurrentContext(config.currentContext);
  }
  return merged;
}

/** Returns the kubeconfig that flags and environment name, else that of the pod this runs in. Throws a LiveError with what to do. */
export function loadKubeConfig({ kubeconfig, context }: ClusterFlags): KubeConfig {
  const files = kubeconfig === undefined ? defaultFiles() : [kubeconfig];
  let config: KubeConfig;
  if (files.length > 0) config = merge(files.map(readFile));
  else if (isInCluster()) {
    config = new KubeConfig();
    config.loadFromCluster();
  } else {
    const named = process.env.KUBECONFIG;
    throw new LiveError(
      "configuration",
      `no cluster: ${named ? `KUBECONFIG names ${named}, which does not exist` : "there is no kubeconfig ($KUBECONFIG, ~/.kube/config)"}; give --kubeconfig FILE, or work without a cluster on files (--snapshot with --pcap or --flows)`,
    );
  }
  if (context !== undefined) config.setCurrentContext(context);
  checkContext(config, context);
  return config;
}

/** Returns the names of all contexts, of one file or of those that a call without --kubeconfig would use. Throws a LiveError. */
export function contextNames(kubeconfig: string | undefined): readonly string[] {
  const files = kubeconfig === undefined ? defaultFiles() : [kubeconfig];
  return merge(files.map(readFile))
    .getContexts()
    .map(({ name }) => name);
}

function checkContext(config: KubeConfig, asked: string | undefined): void {
  const name = config.getCurrentContext();
  const known = config.getContexts().map((each) => each.name);
  if (!name)
    throw new LiveError(
      "configuration",
      `the kubeconfig has no current context: give --context (${known.slice(0, 8).join(", ") || "it names none"})`,
    );
  if (!known.includes(name))
    throw new LiveError(
      "configuration",
      `${asked === undefined ? "the kubeconfig's current context" : "--context"} \`${name}\` is none of the kubeconfig (it has ${known.slice(0, 8).join(", ") || "none"})`,
    );
  if (!config.getCurrentCluster())
    throw new LiveError("configuration", `context \`${name}\` names a cluster that the kubeconfig does not hold`);
  const object = config.getContextObject(name);
  // Who has no credentials needs the cluster's certificates all the same.
  if (object !== null && !object.user) {
    const anonymous = { name: "(none)" };
    config.users = [...config.users.filter((each) => each.name !== anonymous.name), anonymous];
    config.contexts = config.contexts.map((each) => (each.name === name ? { ...each, user: anonymous.name } : each));
  }
  const user = object?.user;
  // Without one, client-node would leave out the cluster's certificates too.
  if (user !== undefined && !config.getCurrentUser())
    throw new LiveError("configuration", `context \`${name}\` names a user that the kubeconfig does not hold`);
}

/** The namespace of the current context, as kubectl takes it without -n. */
export function contextNamespace(config: KubeConfig): string | undefined {
  return config.getContextObject(config.getCurrentContext())?.namespace || undefined;
}

/** Returns the API server of the current context with what its connections need: certificates, token, proxy. Runs exec plugins. */
export async function apiServerOf(config: KubeConfig, requestTimeout = 0): Promise<Server> {
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new LiveError("configuration", "the current context names no cluster");
  let url: URL;
  try {
    url = new URL(cluster.server);
  } catch {
    throw new LiveError("configuration", `cluster \`${cluster.name}\`: its server is no URL`);
  }
  const withProxy = { ...cluster, proxyUrl: cluster.proxyUrl ?? proxyFor(url) };
  // Plain HTTP (kubectl proxy) has nothing to verify; client-node wants that said.
  const plain = url.protocol === "http:" ? { skipTLSVerify: true } : {};
  config.clusters = config.clusters.map((each) => (each.name === cluster.name ? ({ ...withProxy, ...plain } as typeof cluster) : each));
  const options: RequestOptions = {};
  announceExec(config);
  try {
    await withinLogin(config.applyToHTTPSOptions(options as never));
  } catch (error) {
    throw new LiveError(
      "configuration",
      `user \`${config.getCurrentUser()?.name ?? ""}\` of the kubeconfig: ${credentialProblem(error as NodeJS.ErrnoException, config)}`,
    );
  }
  keepToken(options, config);
  const totalMs = requestTimeout > 0 ? requestTimeout * 1000 : DEFAULT_TIMEOUTS.totalMs;
  return {
    name: `the API server ${nameOf(url)}`,
    url,
    options,
    agent: keepAlive(options.agent as Agent | undefined),
    timeouts: { idleMs: Math.min(DEFAULT_TIMEOUTS.idleMs, totalMs), totalMs },
  };
}

/** Credential plugins are told what is asked of them (Kubernetes: client-go credential plugins, "Input and output formats"). */
function announceExec(config: KubeConfig): void {
  const exec = config.getCurrentUser()?.exec as { readonly apiVersion?: unknown } | undefined;
  if (exec === undefined || exec === null) return;
  const apiVersion = typeof exec.apiVersion === "string" ? exec.apiVersion : "client.authentication.k8s.io/v1";
  process.env.KUBERNETES_EXEC_INFO = JSON.stringify({ apiVersion, kind: "ExecCredential", spec: { interactive: false } });
}

/** A plugin that opens a browser takes a person's time; one that waits for a terminal would wait for ever, since it gets none. */
const LOGIN_MS = 180_000;

async function withinLogin<Result>(work: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new Error(`its credential plugin gave none within ${LOGIN_MS / 1000} s: log in with kubectl first`)),
          LOGIN_MS,
        );
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Files and plugins often give tokens with a line end, which no header may hold. What they gave is kept: a port-forward asks for
 * credentials again for each of its connections.
 */
function keepToken({ headers }: RequestOptions, config: KubeConfig): void {
  const fields = headers as Record<string, string> | undefined;
  const given = /^Bearer\s+(.*)$/s.exec(fields?.Authorization ?? "")?.[1];
  const user = config.getCurrentUser();
  if (fields === undefined || given === undefined || !user) return;
  const token = checkToken(given.trim(), `user \`${user.name}\` of the kubeconfig: its token`);
  fields.Authorization = `Bearer ${token}`;
  const { exec: _e, authProvider: _a, ...rest } = user;
  config.users = config.users.map((each) => (each.name === user.name ? { ...rest, token } : each));
}

/**
 * Says why there are no credentials. What an exec plugin prints may hold anything: of why it failed the first line is told, without
 * what it was given and what looks like a token; of what it gave, nothing.
 */
function credentialProblem(error: NodeJS.ErrnoException, config: KubeConfig): string {
  if (error.code === "ENOENT")
    return error.syscall?.startsWith("spawn")
      ? `its credential plugin \`${error.path ?? ""}\` is not installed`
      : `${error.path ?? "a file"}: no such file`;
  if (error.code === "EACCES") return `${error.path ?? "a file"}: permission denied`;
  if (error.code === "ERR_INVALID_URL") return "no credentials: the cluster's proxy-url, or HTTPS_PROXY, is no URL";
  // JSON.parse quotes what it reads.
  if (error instanceof SyntaxError || error instanceof TypeError) return "no credentials: what its credential plugin or file gives is none";
  const line = error.message.split("\n").find((each) => each.trim() !== "") ?? "no reason given";
  return `no credentials: ${withoutSecrets(line.trim(), config).slice(0, 200)}`;
}

/** What looks like a token: long runs with digits, which words, paths and names of hosts are not. */
const TOKEN_LIKE = /(?=[A-Za-z_+=~-]*\d)[A-Za-z0-9_+=~-]{20,}(?:\.[A-Za-z0-9_+=~-]+)*/g;

function withoutSecrets(text: string, config: KubeConfig): string {
  const exec = config.getCurrentUser()?.exec as { readonly env?: unknown; readonly args?: unknown } | undefined;
  const args = (Array.isArray(exec?.args) ? exec.args : []).filter((entry) => typeof entry === "string");
  const given = [
    ...(Array.isArray(exec?.env) ? exec.env : []).map((entry) => textAt(entry, "value")),
    ...args.filter((entry) => !entry.startsWith("-")),
    ...args.map((entry) => /^-[^=]*=(.+)$/s.exec(entry)?.[1] ?? ""),
  ];
  // Short values are words that may stand in any text.
  const known = given.filter((value) => value.length >= 6).reduce((left, value) => left.replaceAll(value, "(hidden)"), text);
  return known
    .replace(/\b(bearer +|(?:token|password|secret|key)(?:["']? *[=:] *| is | +))\S+/gi, "$1(hidden)")
    .replace(TOKEN_LIKE, "(hidden)");
}

/** client-node makes agents that close each connection: a list of many pages would shake hands for each. */
function keepAlive(agent: Agent | undefined): Agent | undefined {
  // A proxy's agent is a class of its own, and left as it is.
  if (agent === undefined || Object.getPrototypeOf(agent) !== SecureAgent.prototype) return agent;
  return new SecureAgent({ ...(agent as SecureAgent).options, keepAlive: true, maxSockets: 6 });
}

/** Proxies by environment, as kubectl honours them (Go: net/http ProxyFromEnvironment). */
function proxyFor({ protocol, hostname }: URL): string | undefined {
  const value = (name: string) => process.env[name] ?? process.env[name.toLowerCase()];
  const proxy = protocol === "https:" ? value("HTTPS_PROXY") : value("HTTP_PROXY");
  if (!proxy || /^(localhost|127\.|\[?::1)/.test(hostname)) return undefined;
  const exempt = (value("NO_PROXY") ?? "").split(",").map((entry) =>
    entry
      .trim()
      .replace(/^(\*?\.)/, "")
      .replace(/^([^:]*):\d+$/, "$1"),
  );
  const host = hostname.replace(/^\[|\]$/g, "");
  const address = parseAddress(host);
  const matches = (entry: string) => {
    const range = address !== undefined && entry.includes("/") ? parsePrefix(entry) : undefined;
    return range === undefined ? host === entry || host.endsWith(`.${entry}`) : prefixContains(range, address!);
  };
  const isExempt = exempt.some((entry) => entry === "*" || (entry !== "" && matches(entry)));
  return isExempt ? undefined : proxy.includes("://") ? proxy : `http://${proxy}`;
}

/** Reads a file that holds a token and nothing else. */
export function readToken(file: string, flag: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new LiveError(
      "configuration",
      `${flag}: ${file}: ${(error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file" : "cannot be read"}`,
    );
  }
  return checkToken(text, `${flag}: ${file}`);
}

/** Header values cannot hold line ends and the like: such a token would break off, or add headers. */
export function checkToken(text: string, where: string): string {
  if (text === "") throw new LiveError("configuration", `${where}: empty, though it should hold a token`);
  if (!/^[\x21-\x7e]+$/.test(text))
    throw new LiveError("configuration", `${where}: what it holds is no token (spaces or other characters that none has)`);
  return text;
}
