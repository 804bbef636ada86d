import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { send, textOf } from "../../src/live/http.ts";
import {
  apiServerOf,
  checkToken,
  contextNamespace,
  hasClusterConfiguration,
  loadKubeConfig,
  readToken,
} from "../../src/live/kubeConfig.ts";
import { LiveError } from "../../src/live/liveError.ts";

/** Planted: none of these may stand in any message. */
const SECRETS = ["t0ken-planted-4711", "k3y-planted-4711", "passw0rd-planted-4711"];
const [TOKEN, KEY, PASSWORD] = SECRETS;

const folder = mkdtempSync(join(tmpdir(), "kguardian-kubeconfig-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const stops: (() => void)[] = [];
afterEach(() => {
  vi.unstubAllEnvs();
  for (const stop of stops.splice(0)) stop();
});

function file(name: string, text: string | object, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, typeof text === "string" ? text : JSON.stringify(text));
  chmodSync(path, mode);
  return path;
}

interface Fields {
  readonly server?: string;
  readonly user?: object;
  readonly cluster?: object;
  readonly context?: object;
  /** Empty: none. */
  readonly current?: string;
}
/** A kubeconfig with one entry of each kind, all of one name. */
function config(name: string, { server = "http://127.0.0.1:1", user = {}, cluster = {}, context = {}, current = name }: Fields = {}) {
  return {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server, ...cluster } }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name, ...context } }],
    "current-context": current,
  };
}

function messageOf(error: unknown): string {
  if (!(error instanceof LiveError)) throw error;
  expect(error.code).toBe("configuration");
  expect(error.message).not.toContain("\n");
  for (const secret of SECRETS) expect(error.message).not.toContain(secret);
  return error.message;
}
function refusal(load: () => unknown): string {
  try {
    load();
  } catch (error) {
    return messageOf(error);
  }
  throw new Error("it was taken");
}
const refused = async (promise: Promise<unknown>): Promise<string> =>
  messageOf(
    await promise.then(
      () => new Error("it was taken"),
      (error) => error,
    ),
  );

/** A server that tells what it was sent. */
async function echo(): Promise<string> {
  const server = createServer((request, response) => response.end(JSON.stringify(request.headers)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
async function headersSent(kubeconfig: string): Promise<Record<string, string>> {
  const server = await apiServerOf(loadKubeConfig({ kubeconfig }));
  return JSON.parse(await textOf(await send(server, { method: "GET", path: "/" }), 1e5));
}

describe("KUBECONFIG", () => {
  test("of several files: of equal names the first counts, and the first current-context; missing ones are passed over", () => {
    const first = file("first", config("a", { server: "http://first:1", current: "" }));
    const second = file("second", {
      ...config("a", { server: "http://second:1", current: "b" }),
      contexts: [
        { name: "a", context: { cluster: "a", user: "a", namespace: "second" } },
        { name: "b", context: { cluster: "a", user: "a", namespace: "bee" } },
      ],
    });
    vi.stubEnv("KUBECONFIG", [join(folder, "missing"), first, "", second, file("third", config("c"))].join(delimiter));
    const loaded = loadKubeConfig({});
    expect(loaded.getCurrentContext()).toBe("b");
    expect(loaded.getCurrentCluster()?.server).toBe("http://first:1");
    expect(contextNamespace(loaded)).toBe("bee");
    expect(loaded.getContexts().map(({ name }) => name)).toEqual(["a", "b", "c"]);
    expect(contextNamespace(loadKubeConfig({ context: "a" }))).toBeUndefined();
    expect(loadKubeConfig({ kubeconfig: first, context: "a" }).getContexts()).toHaveLength(1);
  });

  test("without any file there is no cluster, and it is said what to do", () => {
    vi.stubEnv("HOME", folder);
    vi.stubEnv("KUBERNETES_SERVICE_HOST", undefined);
    vi.stubEnv("KUBECONFIG", "");
    expect(hasClusterConfiguration({ kubeconfig: undefined })).toBe(false);
    expect(refusal(() => loadKubeConfig({}))).toMatch(/^no cluster: there is no kubeconfig .* give --kubeconfig FILE/);
    vi.stubEnv("KUBECONFIG", join(folder, "missing"));
    expect(hasClusterConfiguration({ kubeconfig: undefined })).toBe(false);
    expect(refusal(() => loadKubeConfig({}))).toContain(`KUBECONFIG names ${join(folder, "missing")}, which does not exist`);
  });

  test("without it ~/.kube/config counts", () => {
    mkdirSync(join(folder, ".kube"));
    file(".kube/config", config("home"));
    vi.stubEnv("HOME", folder);
    vi.stubEnv("KUBECONFIG", "");
    expect(hasClusterConfiguration({ kubeconfig: undefined })).toBe(true);
    expect(loadKubeConfig({}).getCurrentContext()).toBe("home");
    rmSync(join(folder, ".kube"), { recursive: true });
  });
});

describe("what is no kubeconfig", () => {
  const secretive = config("a", { user: { token: TOKEN, "client-key-data": KEY, username: "jane", password: PASSWORD } });
  test.each<[string, string | object, string]>([
    ["text", `just ${TOKEN}`, "has no current context: give --context (it names none)"],
    ["broken YAML", `users:\n- name: x\n  user: {token: ${TOKEN}\n password: "${PASSWORD}`, "not a kubeconfig file"],
    ["broken JSON", `{"users":[{"user":{"token":"${TOKEN}"}`, "not a kubeconfig file"],
    ["binary data", `\u0000\u0001${TOKEN}`, "not a kubeconfig file"],
    ["nothing", "", "not a kubeconfig file"],
    ["a list", [TOKEN], "the kubeconfig has no current context"],
    ["lists of other things", { clusters: [TOKEN], users: [PASSWORD] }, "clusters[0].name is missing"],
    ["a user without a name", { users: [{ user: { token: TOKEN } }] }, "users[0].name is missing"],
    ["a cluster without a server", { clusters: [{ name: "a", cluster: { token: TOKEN } }] }, "clusters[0].cluster.server is missing"],
    [
      "a context without a cluster",
      { ...secretive, contexts: [{ name: "a", context: { user: TOKEN } }] },
      "contexts[0].context.cluster is missing",
    ],
    ["no current context", { ...secretive, "current-context": undefined }, "has no current context: give --context (a)"],
    ["an empty current context", { ...secretive, "current-context": "" }, "has no current context: give --context (a)"],
    [
      "an unknown current context",
      { ...secretive, "current-context": "b" },
      "the kubeconfig's current context `b` is none of the kubeconfig (it has a)",
    ],
    ["a context whose cluster is missing", { ...secretive, clusters: [] }, "context `a` names a cluster that the kubeconfig does not hold"],
    ["a context whose user is missing", { ...secretive, users: [] }, "context `a` names a user that the kubeconfig does not hold"],
  ])("%s", (_, text, message) => {
    const path = file("bad", text);
    expect(refusal(() => loadKubeConfig({ kubeconfig: path }))).toContain(message);
  });

  test("a missing file, a folder, one that may not be read, an unknown --context", () => {
    expect(refusal(() => loadKubeConfig({ kubeconfig: join(folder, "missing") }))).toBe(
      `kubeconfig ${join(folder, "missing")}: no such file`,
    );
    expect(refusal(() => loadKubeConfig({ kubeconfig: folder }))).toBe(`kubeconfig ${folder}: not a kubeconfig file`);
    const good = file("good", secretive);
    expect(refusal(() => loadKubeConfig({ kubeconfig: good, context: "prod" }))).toBe(
      "--context `prod` is none of the kubeconfig (it has a)",
    );
    if (process.getuid?.() !== 0)
      expect(refusal(() => loadKubeConfig({ kubeconfig: file("closed", secretive, 0) }))).toContain("permission denied");
  });

  test("a server that is none", async () => {
    const path = file("server", config("a", { server: TOKEN, user: { token: TOKEN } }));
    expect(await refused(apiServerOf(loadKubeConfig({ kubeconfig: path })))).toBe("cluster `a`: its server is no URL");
  });
});

describe("credentials", () => {
  test.each<[string, object, string]>([
    ["a token", { token: TOKEN }, `Bearer ${TOKEN}`],
    ["user and password", { username: "jane", password: PASSWORD }, `Basic ${Buffer.from(`jane:${PASSWORD}`).toString("base64")}`],
    ["a file with a token and a line end", { tokenFile: "token" }, `Bearer ${TOKEN}`],
    ["the file before the token", { tokenFile: "token", token: "other" }, `Bearer ${TOKEN}`],
    ["an exec plugin", { exec: { apiVersion: "client.authentication.k8s.io/v1", command: "./plugin" } }, `Bearer ${TOKEN}`],
  ])("%s, to a server without TLS", async (_, user, wanted) => {
    file("token", `${TOKEN}\n`);
    const plugin = file("plugin", `#!/bin/sh\necho '{"kind":"ExecCredential","status":{"token":"${TOKEN}"}}'\n`, 0o700);
    const text = JSON.stringify(config("a", { server: await echo(), user })).replace("./plugin", plugin);
    expect((await headersSent(file("with-credentials", text))).authorization).toBe(wanted);
  });

  test("what a plugin gave serves the connections of a port-forward too, which would ask again", async () => {
    const plugin = file("plugin", `#!/bin/sh\nprintf '{"kind":"ExecCredential","status":{"token":"${TOKEN}\\\\n"}}'\n`, 0o700);
    const kubeconfig = file("forward", config("a", { server: await echo(), user: { exec: { command: plugin } } }));
    const loaded = loadKubeConfig({ kubeconfig });
    await apiServerOf(loaded);
    expect(loaded.getCurrentUser()).toMatchObject({ token: TOKEN });
    expect(loaded.getCurrentUser()?.exec).toBeUndefined();
  });

  test("no user: none are sent", async () => {
    expect((await headersSent(file("no-user", config("a", { server: await echo() })))).authorization).toBeUndefined();
    const nobody = { ...config("a", { server: await echo() }), contexts: [{ name: "a", context: { cluster: "a" } }] };
    expect((await headersSent(file("nobody", nobody))).authorization).toBeUndefined();
  });

  const plugin = (text: string) => ({
    exec: { command: file("plugin", `#!/bin/sh\n${text}\n`, 0o700), env: [{ name: "SECRET", value: PASSWORD }] },
  });
  const jwt = `eyJhbGciOiJSUzI1NiJ9.${Buffer.from(TOKEN).toString("base64url")}.c2ln`;
  test.each<[string, () => object, RegExp]>([
    ["a file that is missing", () => ({ tokenFile: join(folder, "no-token") }), /no-token: no such file$/],
    ["a file that is empty", () => ({ tokenFile: file("empty", "\n") }), /its token: empty, though it should hold a token$/],
    ["a file of several lines", () => ({ tokenFile: file("lines", `${TOKEN}\n${KEY}\n`) }), /its token: what it holds is no token/],
    ["a token with a line end within", () => ({ token: `${TOKEN}\nx` }), /its token: what it holds is no token/],
    ["a certificate that is missing", () => ({ "client-certificate": join(folder, "no-cert") }), /no-cert: no such file$/],
    [
      "a plugin that is not installed",
      () => ({ exec: { command: "no-such-plugin", env: [{ name: "A", value: TOKEN }] } }),
      /its credential plugin `no-such-plugin` is not installed$/,
    ],
    ["a plugin without a command", () => ({ exec: { args: [TOKEN] } }), /no credentials: No command/],
    ["a plugin that may not run", () => ({ exec: { command: file("closed-plugin", "", 0o600) } }), /closed-plugin: permission denied$/],
    [
      "a plugin that fails",
      () => plugin("echo 'Error: the session has expired, run `sso login`' >&2; echo x >&2; exit 1"),
      /no credentials: Error: the session has expired, run `sso login`$/,
    ],
    ["a plugin that fails without a word", () => plugin("exit 1"), /no credentials: no reason given$/],
    [
      "a plugin that fails and tells its token later",
      () => plugin(`echo >&2; echo failed >&2; echo ${TOKEN} >&2; exit 1`),
      /no credentials: failed$/,
    ],
    [
      "a plugin that fails and tells its token at once",
      () => plugin(`echo "bad token: ${TOKEN} (401)" >&2; exit 1`),
      /no credentials: bad token: \(hidden\) \(401\)$/,
    ],
    [
      "a plugin that fails and tells a JWT",
      () => plugin(`echo 'refused ${jwt} by idp.example' >&2; exit 1`),
      /no credentials: refused \(hidden\) by idp.example$/,
    ],
    [
      "a plugin that fails and tells what it was given",
      () => plugin('echo "cannot log in with $SECRET" >&2; exit 1'),
      /no credentials: cannot log in with \(hidden\)$/,
    ],
    [
      "a plugin that fails and tells its arguments",
      () => {
        const { exec } = plugin('echo "cannot use $*" >&2; exit 1');
        return { exec: { ...exec, args: ["--client-secret", PASSWORD, `--key=${PASSWORD}`] } };
      },
      /no credentials: cannot use --client-secret \(hidden\)/,
    ],
    ["a plugin that prints the bare token", () => plugin(`echo ${TOKEN}`), /what its credential plugin or file gives is none$/],
    [
      "a plugin that prints half a credential",
      () => plugin(`echo '{"status":{"token":"${TOKEN}'`),
      /what its credential plugin or file gives is none$/,
    ],
    ["a plugin that prints nothing", () => plugin("true"), /what its credential plugin or file gives is none$/],
    ["a plugin that prints other JSON", () => plugin(`echo '{"token":"${TOKEN}"}'`), /what its credential plugin or file gives is none$/],
  ])("%s", async (_, user, message) => {
    const load = async () => await apiServerOf(loadKubeConfig({ kubeconfig: file("failing", config("jane", { user: user() })) }));
    const text = await refused(load());
    expect(text).toMatch(message);
    expect(text).toMatch(/^user `jane` of the kubeconfig: /);
    expect(text).not.toContain(jwt.split(".")[1]);
  });

  test.each<[string, object, object]>([
    [
      "a key that is none",
      { "client-key-data": Buffer.from(KEY).toString("base64"), "client-certificate-data": Buffer.from(KEY).toString("base64") },
      {},
    ],
    ["a key in broken base64", { "client-key-data": KEY, "client-certificate-data": KEY }, {}],
    ["a CA that is none", {}, { "certificate-authority-data": Buffer.from(KEY).toString("base64") }],
  ])("%s", async (_, user, cluster) => {
    const path = file("tls", config("a", { server: "https://127.0.0.1:1", user, cluster }));
    const server = await apiServerOf(loadKubeConfig({ kubeconfig: path })).catch((error: unknown) => error);
    const error =
      server instanceof LiveError
        ? server
        : await send(server as Awaited<ReturnType<typeof apiServerOf>>, { method: "GET", path: "/" }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(LiveError);
    for (const secret of [...SECRETS, Buffer.from(KEY).toString("base64")]) expect((error as LiveError).message).not.toContain(secret);
  });
});

test("a proxy that is no URL", async () => {
  const path = file("no-proxy", config("a", { cluster: { "proxy-url": `http://${PASSWORD}@[` } }));
  expect(await refused(apiServerOf(loadKubeConfig({ kubeconfig: path })))).toContain("the cluster's proxy-url, or HTTPS_PROXY, is no URL");
});

describe("proxies of the environment", () => {
  const proxied = async (server: string) => {
    const { agent } = await apiServerOf(loadKubeConfig({ kubeconfig: file("proxied", config("a", { server })) }));
    return agent?.constructor.name.includes("Proxy") === true;
  };
  test.each<[string, string, string, boolean]>([
    ["all go there", "https://api.example:6443", "", true],
    ["but for named ones", "https://api.example:6443", "other, api.example", false],
    ["and what is below these", "https://api.shop.example", ".example", false],
    ["not what only ends alike", "https://api.notexample", "example", true],
    ["and for ranges", "https://10.1.2.3:6443", "10.0.0.0/8", false],
    ["other ranges do not count", "https://10.1.2.3:6443", "192.168.0.0/16,10.2.0.0/16", true],
    ["and for IPv6 ranges", "https://[fd00::1]:6443", "fd00::/8", false],
    ["and for addresses", "https://10.1.2.3:6443", "10.1.2.3", false],
    ["none at all", "https://api.example", "*", false],
    ["never this machine", "https://127.0.0.1:6443", "", false],
  ])("%s", async (_, server, exempt, wanted) => {
    for (const name of ["HTTP_PROXY", "http_proxy", "https_proxy", "no_proxy"]) vi.stubEnv(name, undefined);
    vi.stubEnv("HTTPS_PROXY", "proxy.example:3128");
    vi.stubEnv("NO_PROXY", exempt);
    expect(await proxied(server)).toBe(wanted);
  });
});

describe("a file that holds a token", () => {
  test("may end with a line end", () => {
    expect(readToken(file("a-token", `  ${TOKEN}\r\n`), "--broker-token-file")).toBe(TOKEN);
  });

  test.each([
    ["missing", () => join(folder, "nothing"), /^--broker-token-file: .*nothing: no such file$/],
    ["a folder", () => folder, /cannot be read$/],
    ["empty", () => file("t", " \n"), /empty, though it should hold a token$/],
    ["two lines", () => file("t", `${TOKEN}\n${TOKEN}`), /what it holds is no token/],
    ["other characters", () => file("t", `${TOKEN}é`), /what it holds is no token/],
  ])("%s", (_, path, message) => {
    expect(refusal(() => readToken(path(), "--broker-token-file"))).toMatch(message);
  });

  test("the variable is held to the same", () => {
    expect(checkToken(TOKEN, "X")).toBe(TOKEN);
    expect(refusal(() => checkToken(`${TOKEN} ${KEY}`, "KGUARDIAN_BROKER_TOKEN"))).toContain(
      "KGUARDIAN_BROKER_TOKEN: what it holds is no token",
    );
  });
});
