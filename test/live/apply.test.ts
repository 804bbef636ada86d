import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ApiServer } from "../../src/live/apiServer.ts";
import { ApplyFailed, applyChanges, type Change, planChanges, restorable } from "../../src/live/apply.ts";

/*
 * Applying against a small API server of NetworkPolicies that keeps what it is sent and fails as told. What the real one does is
 * looked at in plugin.live.test.ts; here are the moments that cannot be made there.
 */

type Fields = Record<string, unknown>;
/** lost, late: it is done, and the connection breaks before the answer, or the answer is that it took too long. */
type Fault = "refuse" | "lost" | "late" | "theirs";

let server: Server;
let api: ApiServer;
let store: Map<string, Fields>;
let log: string[];
/** By name: what happens to the next real write of it. */
let faults: Map<string, Fault>;
let version: number;

beforeEach(async () => {
  [store, log, faults, version] = [new Map(), [], new Map(), 0];
  server = createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://api");
    const answer = (status: number, body: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    const refusal = (code: number, message: string) => answer(code, { kind: "Status", message, code });
    if (url.pathname === "/apis") {
      const resources = [{ resource: "networkpolicies", responseKind: { kind: "NetworkPolicy" }, scope: "Namespaced" }];
      const groups = [{ metadata: { name: "networking.k8s.io" }, versions: [{ version: "v1", resources }] }];
      return answer(200, { kind: "APIGroupDiscoveryList", items: groups });
    }
    const name = url.pathname.split("/").at(-1) as string;
    const known = store.get(name);
    let text = "";
    request.on("data", (chunk) => (text += chunk));
    request.on("end", () => {
      if (request.method === "GET") return known === undefined ? refusal(404, "not found") : answer(200, known);
      const isDryRun = url.searchParams.get("dryRun") === "All";
      log.push(`${request.method} ${name}${isDryRun ? " dry" : ""}`);
      const fault = isDryRun ? undefined : faults.get(name);
      if (!isDryRun) faults.delete(name);
      if (fault === "refuse") return refusal(403, `${name} is refused`);
      if (request.method === "DELETE") {
        store.delete(name);
        return answer(200, { kind: "Status" });
      }
      const sent = JSON.parse(text) as Fields;
      // Somebody else is quicker by a moment.
      const isTheirs = fault === "theirs";
      const wanted = (sent.metadata as Fields).resourceVersion;
      if (wanted !== undefined && wanted !== (known?.metadata as Fields | undefined)?.resourceVersion)
        return refusal(409, "the object has been modified");
      const object = { ...sent, metadata: { ...(sent.metadata as Fields), resourceVersion: String(++version), uid: "u" } };
      if (!isDryRun) store.set(name, object);
      if (fault === "lost") return request.socket.destroy();
      if (fault === "late") return refusal(504, "request did not complete within requested timeout");
      return answer(known === undefined && !isTheirs ? 201 : 200, object);
    });
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  api = new ApiServer({ name: "the API server", url, timeouts: { idleMs: 2000, totalMs: 5000 } }, "somebody");
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const policy = (name: string, ingress: unknown[] = []): Fields => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name, namespace: "shop" },
  spec: { podSelector: {}, ingress },
});

const plan = (...objects: Fields[]) => planChanges(api, objects, { force: false, others: () => {} });
const go = (changes: readonly Change[], isInterrupted = () => false) =>
  applyChanges(api, changes, false, { applied: () => {}, isInterrupted });
const specs = () => Object.fromEntries([...store].map(([name, { spec }]) => [name, spec]));

/** Runs to the failure that is expected. */
async function failureOf(running: Promise<void>): Promise<ApplyFailed> {
  const error = await running.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ApplyFailed);
  return error as ApplyFailed;
}

describe("planning", () => {
  test("asks by dry runs only, and tells new, changed and same objects apart", async () => {
    store.set("b", { ...policy("b"), metadata: { name: "b", namespace: "shop", resourceVersion: "7" } });
    store.set("c", { ...policy("c", [{}]), metadata: { name: "c", namespace: "shop", resourceVersion: "8", uid: "u" } });
    const changes = await plan(policy("a"), policy("b", [{}]), policy("c", [{}]));
    expect(changes.map(({ name, change }) => [name, change])).toEqual([
      ["a", "created"],
      ["b", "configured"],
      ["c", "unchanged"],
    ]);
    expect(log).toEqual(["PATCH a dry", "PATCH b dry", "PATCH c dry"]);
  });
});

describe("applying", () => {
  test("writes what is new or changed, and nothing else", async () => {
    store.set("b", { ...policy("b", [{}]), metadata: { name: "b", namespace: "shop", resourceVersion: "7", uid: "u" } });
    await go(await plan(policy("a"), policy("b", [{}])));
    expect(log.filter((line) => !line.endsWith("dry"))).toEqual(["PATCH a"]);
  });

  test("undoes in reverse order what was done before a failure", async () => {
    store.set("b", policy("b"));
    const before = specs();
    const changes = await plan(policy("a"), policy("b", [{}]), policy("c"));
    faults.set("c", "refuse");
    const { message, rolledBack } = await failureOf(go(changes));
    expect(message).toContain("c is refused");
    expect(rolledBack).toEqual({
      undone: [
        "networkpolicy.networking.k8s.io/b (namespace shop) put back",
        "networkpolicy.networking.k8s.io/a (namespace shop) deleted again",
      ],
      left: [],
    });
    expect(specs()).toEqual(before);
    expect(log.slice(3)).toEqual(["PATCH a", "PATCH b", "PATCH c", "PATCH b", "DELETE a"]);
  });

  test.each(["lost", "late"] as const)("undoes also what the server did though its answer was %s", async (fault) => {
    const changes = await plan(policy("a"), policy("b"));
    faults.set("b", fault);
    const { rolledBack } = await failureOf(go(changes));
    expect([specs(), rolledBack.left]).toEqual([{}, []]);
  });

  test("deletes nothing that somebody else created at the same moment, and says that ours is in it", async () => {
    const changes = await plan(policy("a"), policy("b"));
    faults.set("b", "theirs");
    const { message, rolledBack } = await failureOf(go(changes));
    expect(message).toContain("somebody else created it at the same moment");
    expect(Object.keys(specs())).toEqual(["b"]);
    expect(rolledBack.left).toEqual([expect.objectContaining({ why: expect.stringContaining("is in it"), isConflict: true })]);
  });

  test("stops between two objects when it is interrupted, and undoes", async () => {
    const changes = await plan(policy("a"), policy("b"));
    const { message } = await failureOf(go(changes, () => log.includes("PATCH a")));
    expect(message).toContain("interrupted");
    expect(specs()).toEqual({});
  });

  test("changes no object that somebody else changed since it was shown", async () => {
    store.set("b", policy("b"));
    const changes = await plan(policy("a"), policy("b", [{}]));
    store.set("b", { ...policy("b", [{}, {}]), metadata: { name: "b", namespace: "shop", resourceVersion: "99" } });
    const { message } = await failureOf(go(changes));
    expect(message).toContain("changed by somebody else");
    expect(specs()).toEqual({ b: { podSelector: {}, ingress: [{}, {}] } });
  });

  test("says what could not be undone, and undoes the rest", async () => {
    const changes = await plan(policy("a"), policy("b"), policy("c"));
    faults.set("c", "refuse");
    const running = go(changes, () => {
      // Refuse the deletion, not the creation.
      if (log.includes("PATCH b")) faults.set("b", "refuse");
      return false;
    });
    const { rolledBack } = await failureOf(running);
    expect(rolledBack.left.map(({ change, why }) => [change.name, why])).toEqual([["b", expect.stringContaining("b is refused")]]);
    expect(Object.keys(specs())).toEqual(["b"]);
  });
});

describe("what others did meanwhile", () => {
  const theirs = (name: string) => {
    const object = store.get(name) as Fields;
    store.set(name, {
      ...object,
      metadata: { ...(object.metadata as Fields), labels: { theirs: "yes" }, resourceVersion: String(++version) },
    });
  };

  test.each(["created", "configured"] as const)("stays when what was %s is undone, and is told", async (kind) => {
    if (kind === "configured") store.set("a", policy("a"));
    const changes = await plan(policy("a", [{}]), policy("b"));
    faults.set("b", "refuse");
    const running = go(changes, () => {
      if (log.includes("PATCH a") && !("labels" in ((store.get("a")?.metadata ?? {}) as Fields))) theirs("a");
      return false;
    });
    const { rolledBack } = await failureOf(running);
    expect(rolledBack.left.map(({ change, why }) => [change.name, why])).toEqual([["a", "somebody else changed it since"]]);
    expect(rolledBack.left[0].isConflict).toBe(true);
    expect(store.get("a")?.metadata).toMatchObject({ labels: { theirs: "yes" } });
  });
});

test("what is kept of an object can be written again", () => {
  const metadata = { name: "a", namespace: "shop", labels: { a: "b" } };
  const stored = {
    ...policy("a"),
    metadata: { ...metadata, uid: "u", resourceVersion: "1", generation: 2, managedFields: [], creationTimestamp: "x" },
    status: {},
  };
  expect(restorable(stored)).toEqual({ ...policy("a"), metadata });
});
