// node load-world.mjs KUBECONFIG KUBELET_PORT WORLD.json [more.json ...]: creates the objects of a v1 List, then writes the status of
// pods and nodes, and puts back in etcd the uid and creation time that the API server replaced by its own.
import { existsSync, readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { dirname, join } from "node:path";

const [kubeconfig, kubelet, ...files] = process.argv.slice(2);
const text = readFileSync(kubeconfig, "utf8");
const one = (pattern) => pattern.exec(text)[1];
const base = new URL(one(/server: "([^"]+)"/));
const ca = Buffer.from(one(/certificate-authority-data: ([A-Za-z0-9+/=]+)/), "base64");
const token = one(/token: (\w+)/); // the first user is the cluster admin
const agent = new Agent({ keepAlive: true, ca, maxSockets: 8 });

const call = (method, path, body, type = "application/json") =>
  new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": type };
    const sent = request({ host: base.hostname, port: base.port, path, method, agent, headers }, (response) => {
      let answer = "";
      response.setEncoding("utf8");
      response.on("data", (part) => (answer += part));
      response.on("end", () => resolve({ status: response.statusCode, body: answer }));
    });
    sent.on("error", reject);
    sent.end(body && JSON.stringify(body));
  });
const plural = (kind) => (/Policy$/.test(kind) ? kind.replace(/y$/, "ies") : `${kind}s`).toLowerCase();
const pathOf = ({ apiVersion, kind, metadata: { namespace, name } }) => {
  const group = apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`;
  const collection = `${group}${namespace ? `/namespaces/${namespace}` : ""}/${plural(kind)}`;
  return { collection, object: `${collection}/${name}` };
};

let bad = 0;
let count = 0;
const complain = (...words) => {
  bad++;
  console.error(...words);
};

async function load(item) {
  const { kind, metadata } = item;
  const { collection, object } = pathOf(item);
  if (kind === "Service" && metadata.namespace === "default" && metadata.name === "kubernetes") return; // the API server makes it
  const created = await call("POST", collection, item);
  count++;
  if (created.status !== 201 && created.status !== 409) {
    complain(kind, metadata.namespace ?? "", metadata.name, created.status, JSON.parse(created.body).message);
    return;
  }
  let status = kind === "Pod" || kind === "Node" ? item.status : undefined;
  if (!status) return;
  if (kind === "Node") {
    const addresses = [...(status.addresses ?? []), { type: "ExternalIP", address: "127.0.0.1" }];
    status = { ...status, addresses, daemonEndpoints: { kubeletEndpoint: { Port: +kubelet } } };
  }
  const patched = await call("PATCH", `${object}/status`, { status }, "application/merge-patch+json");
  if (patched.status !== 200) complain("status", kind, metadata.name, patched.status, patched.body.slice(0, 200));
}

/** Gives objects the uid and the creation time of the file, as the broker's records of them have: behind the API server's back. */
async function restoreIdentity(items) {
  const place = join(dirname(kubeconfig), "etcd.url");
  if (!existsSync(place)) return;
  const etcd = async (what, body) =>
    (await fetch(`${readFileSync(place, "utf8").trim()}/v3/kv/${what}`, { method: "POST", body: JSON.stringify(body) })).json();
  const key = ({ kind, metadata: { namespace = "", name } }) => `${kind} ${namespace} ${name}`;
  const wanted = new Map(items.filter(({ metadata }) => metadata.uid ?? metadata.creationTimestamp).map((item) => [key(item), item]));
  const base64 = (string) => Buffer.from(string).toString("base64");
  const { kvs } = await etcd("range", { key: base64("/registry/"), range_end: base64("/registry0") });
  let last;
  for (const pair of kvs) {
    const stored = Buffer.from(pair.value, "base64").toString();
    if (!stored.startsWith("{")) continue;
    const object = JSON.parse(stored);
    const item = object.metadata && wanted.get(key(object));
    if (!item) continue;
    const { uid = object.metadata.uid, creationTimestamp = object.metadata.creationTimestamp } = item.metadata;
    Object.assign(object.metadata, { uid, creationTimestamp });
    await etcd("put", { key: pair.key, value: base64(JSON.stringify(object)) });
    last = { object, item };
  }
  // The API server's caches follow etcd's watch; what was put last is seen last, within its kind.
  for (let tries = 0; last && tries < 100; tries++) {
    const { body } = await call("GET", `${pathOf(last.item).object}?resourceVersion=0`);
    if (JSON.parse(body).metadata.uid === last.object.metadata.uid) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  if (last) complain("identity", last.item.kind, last.item.metadata.name, "is not seen by the API server");
}

for (const file of files) {
  const { items } = JSON.parse(readFileSync(file, "utf8"));
  const isFirst = ({ kind }) => kind === "Namespace" || kind === "Node";
  await Promise.all(items.filter(isFirst).map(load));
  await Promise.all(items.filter((item) => !isFirst(item)).map(load));
  await restoreIdentity(items);
}
console.log(`${count} objects, ${bad} failed`);
agent.destroy();
process.exit(bad ? 1 : 0);
