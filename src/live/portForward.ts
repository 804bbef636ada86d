import { Duplex, PassThrough } from "node:stream";
import type { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { WebSocketHandler } from "@kubernetes/client-node/dist/web-socket-handler.js";
import { type ApiServer, pathOf } from "./apiServer.ts";
import { LiveError } from "./liveError.ts";

/** Where a Service leads: a pod that is ready, and the port that its container listens on. */
export interface ForwardTarget {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

type Fields = Record<string, unknown>;

const SERVICE = { apiVersion: "v1", kind: "Service", resource: "services", isNamespaced: true };
const POD = { apiVersion: "v1", kind: "Pod", resource: "pods", isNamespaced: true };

/** Finds a ready pod behind a Service and the container's port, as `kubectl port-forward svc/…` does. */
export async function resolveService(api: ApiServer, namespace: string, name: string, port: number): Promise<ForwardTarget> {
  const service = await api.get(pathOf(SERVICE, namespace, name));
  const shown = `Service ${namespace}/${name}`;
  if (service === undefined)
    throw new LiveError(
      "not-found",
      `no ${shown} in the cluster: is kguardian installed there? give --broker-namespace and --broker-service where it has another name, --broker-url where it is reached otherwise, or --pcap or --flows to work without a broker`,
    );
  const spec = fieldsIn(service, "spec");
  const ports = listIn(spec, "ports").map((entry) => entry as Fields);
  const found = ports.find((entry) => entry.port === port) ?? (ports.length === 1 ? ports[0] : undefined);
  if (found === undefined)
    throw new LiveError("not-found", `${shown} has no port ${port} (it has ${ports.map((entry) => entry.port).join(", ") || "none"})`);
  const selector = Object.entries(fieldsIn(spec, "selector")).map(([key, value]) => `${key}=${value}`);
  if (selector.length === 0) throw new LiveError("not-found", `${shown} selects no pods: give --broker-url`);
  const pods = listIn(await api.get(`${pathOf(POD, namespace)}?labelSelector=${encodeURIComponent(selector.join(","))}`), "items");
  const ready = pods.find((pod) => isReady(pod as Fields)) as Fields | undefined;
  if (ready === undefined)
    throw new LiveError(
      "not-found",
      `no pod behind ${shown} is ready (${pods.length === 0 ? "none exists" : `${pods.length} exist`}): look at \`kubectl -n ${namespace} get pods\``,
    );
  const target = found.targetPort ?? found.port;
  const number = typeof target === "number" ? target : containerPort(ready, String(target));
  if (number === undefined)
    throw new LiveError("not-found", `${shown}: no container of pod ${nameOf(ready)} has a port called ${String(target)}`);
  return { namespace, pod: nameOf(ready), port: number };
}

function fieldsIn(value: unknown, key: string): Fields {
  const fields = typeof value === "object" && value !== null ? (value as Fields)[key] : undefined;
  return typeof fields === "object" && fields !== null ? (fields as Fields) : {};
}

function listIn(value: unknown, key: string): readonly unknown[] {
  const list = typeof value === "object" && value !== null ? (value as Fields)[key] : undefined;
  return Array.isArray(list) ? list.filter((item) => typeof item === "object" && item !== null) : [];
}

function nameOf(pod: Fields): string {
  return String(fieldsIn(pod, "metadata").name);
}

function isReady(pod: Fields): boolean {
  const conditions = listIn(fieldsIn(pod, "status"), "conditions") as readonly Fields[];
  return (
    conditions.some(({ type, status }) => type === "Ready" && status === "True") &&
    fieldsIn(pod, "metadata").deletionTimestamp === undefined
  );
}

function containerPort(pod: Fields, name: string): number | undefined {
  const ports = listIn(fieldsIn(pod, "spec"), "containers").flatMap((container) => listIn(container, "ports")) as readonly Fields[];
  const found = ports.find((entry) => entry.name === name)?.containerPort;
  return typeof found === "number" ? found : undefined;
}

/** Channels of one forwarded port (Kubernetes: WebSocket subprotocol v4.channel.k8s.io): each begins with the port's two bytes. */
const [DATA, ERRORS] = [0, 1];
const PORT_BYTES = 2;

/** What of `ws` is used; client-node's own type is that of browsers. */
interface Socket {
  send(data: Buffer, done: (error?: Error) => void): void;
  close(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
  on(event: "close", listener: () => void): void;
  on(event: "error", listener: (error: Error) => void): void;
}

/** Opens a connection to a pod's port through the API server. Each call is one connection; it fails where nobody listens there. */
export async function forwardPort(config: KubeConfig, { namespace, pod, port }: ForwardTarget): Promise<Duplex> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/portforward?ports=${port}`;
  const stream = new ForwardedPort(`${namespace}/${pod}:${port}`);
  try {
    // By default the other side could close the streams of this process.
    const nowhere = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
    const handler = new WebSocketHandler(config, undefined, nowhere);
    const socket = await handler.connect(path, null, (channel, bytes) => stream.receive(channel, bytes));
    stream.attach(socket as unknown as Socket);
  } catch (error) {
    throw failureOf(error as { message?: string; error?: Error }, pod);
  }
  return stream;
}

function failureOf(error: { message?: string; error?: Error }, pod: string): LiveError {
  const message = error.error?.message ?? error.message ?? "";
  const status = Number(/unexpected server response: (\d+)/i.exec(message)?.[1] ?? 0);
  if (status === 401 || status === 403)
    return new LiveError(
      "forbidden",
      `the user may not forward ports to pod ${pod}: it takes the verbs \`get\` and \`create\` on \`pods/portforward\` (docs/cluster-role.yaml), or give --broker-url`,
      status,
    );
  return new LiveError(
    "unreachable",
    `port-forward to pod ${pod}: ${status > 0 ? `status ${status}` : message.split("\n")[0] || "the connection failed"}`,
  );
}

/** A pod's port as a stream. */
class ForwardedPort extends Duplex {
  readonly #target: string;
  #socket: Socket | undefined;
  /** Bytes of each channel's leading port number that are still to come. */
  readonly #leading = [PORT_BYTES, PORT_BYTES];
  #errorText = "";

  constructor(target: string) {
    super();
    this.#target = target;
  }

  attach(socket: Socket): void {
    this.#socket = socket;
    socket.on("close", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
  }

  /** Takes what came on a channel; returns whether to go on. */
  receive(channel: number, bytes: Buffer): boolean {
    if (channel !== DATA && channel !== ERRORS) return true;
    const skipped = Math.min(this.#leading[channel], bytes.length);
    this.#leading[channel] -= skipped;
    const rest = bytes.subarray(skipped);
    if (rest.length === 0 || this.destroyed) return !this.destroyed;
    if (channel === ERRORS) {
      this.#errorText += rest.toString("utf8").slice(0, 1000);
      const why = /connection refused/.test(this.#errorText) ? "nobody listens there" : this.#errorText.replace(/\s+/g, " ").slice(0, 200);
      this.destroy(new LiveError("unreachable", `port-forward to ${this.#target}: ${why}`));
      return false;
    }
    if (!this.push(rest)) this.#socket?.pause();
    return true;
  }

  override _read(): void {
    this.#socket?.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#socket === undefined) return done(new Error("not connected"));
    this.#socket.send(Buffer.concat([Buffer.of(DATA), chunk]), (error) => done(error ?? null));
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket?.terminate();
    done(error);
  }
}
