import { isMapping } from "../cluster/manifest.ts";
import { type Address, parseAddress } from "../net/address.ts";
import { hasPorts, protocolNumber } from "../net/protocol.ts";
import { type Instant, parseRfc3339 } from "../net/time.ts";
import type { AuditVerdict } from "../policy/auditVerdict.ts";

/*
 * What the kguardian broker answers with, checked at the border: it stores whatever it is sent, in any case and with any values.
 * A reader returns a row, or the reason why there is none as a text.
 */

/** A row of `/pod/traffic`: one end's view of a connection. Which is which hangs on `isIngress`: the pod is the responder then. */
export interface TrafficRow {
  readonly uuid: string;
  readonly podName: string | undefined;
  readonly podNamespace: string | undefined;
  readonly podAddress: Address;
  readonly peerAddress: Address;
  /** The port that the pod listens on (ingress), or the initiator's where the row tells it; 0: not told. */
  readonly podPort: number;
  /** The port that was dialled (egress), or the initiator's where the row tells it; 0: not told. */
  readonly peerPort: number;
  readonly protocol: number;
  readonly isIngress: boolean;
  readonly verdict: "allow" | "drop" | undefined;
  /** When the connection was first seen. */
  readonly time: Instant | undefined;
}

/** A row of `/pod/info`. */
export interface PodRow {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly address: Address | undefined;
  readonly nodeName: string | undefined;
  readonly isDead: boolean;
  /** When the broker was told of the pod. */
  readonly time: Instant | undefined;
  /** `metadata` of the Pod as it was, without managedFields; undefined where the broker has none. */
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
  readonly hostNetwork: boolean;
}

/** A row of `/svc/info`: a whole Service, without status. */
export interface ServiceRow {
  readonly name: string;
  readonly namespace: string;
  readonly object: Readonly<Record<string, unknown>>;
}

/** A row of `/pod/syscalls/{name}`. */
export interface SyscallRow {
  readonly podName: string;
  readonly podNamespace: string | undefined;
  readonly syscalls: readonly string[];
  readonly architecture: string;
  readonly time: Instant | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

function textIn(fields: Fields, key: string): string | undefined {
  const value = fields[key];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The broker's own times are UTC without a zone (`2026-11-20T08:00:00.123`). */
export function parseBrokerTime(text: string): Instant | undefined {
  return parseRfc3339(/[Zz]$|[+-]\d\d:\d\d$/.test(text) ? text : `${text}Z`);
}

/** Returns the moment of a field; null where there is text that is no moment. */
function timeIn(fields: Fields, key: string): Instant | undefined | null {
  const text = textIn(fields, key);
  if (text === undefined) return undefined;
  const time = parseBrokerTime(text);
  return time === undefined || time.seconds < 0 || time.seconds > 0xffffffff ? null : time;
}

/** Returns the port of a field, 0 where there is none; undefined where it is not one. Ports are texts in what the broker answers. */
function portIn(fields: Fields, key: string): number | undefined {
  const value = fields[key];
  if (value === undefined || value === null || value === "") return 0;
  const port = typeof value === "number" ? value : typeof value === "string" && /^\d{1,5}$/.test(value) ? Number(value) : Number.NaN;
  return Number.isInteger(port) && port >= 0 && port <= 65535 ? port : undefined;
}

/** The controller writes protocols without a name of their own as `UNKNOWN(47)`. */
function protocolIn(fields: Fields): number | undefined {
  const text = textIn(fields, "ip_protocol");
  if (text === undefined) return undefined;
  const unnamed = /^unknown\((\d{1,3})\)$/i.exec(text);
  return protocolNumber(unnamed === null ? text : unnamed[1]);
}

export function readTrafficRow(value: unknown): TrafficRow | string {
  if (!isMapping(value)) return "no JSON object";
  const podAddress = parseAddress(textIn(value, "pod_ip") ?? "");
  const peerAddress = parseAddress(textIn(value, "traffic_in_out_ip") ?? "");
  if (podAddress === undefined || peerAddress === undefined) return "pod_ip or traffic_in_out_ip is no address";
  const protocol = protocolIn(value);
  if (protocol === undefined) return "ip_protocol is none";
  const type = textIn(value, "traffic_type")?.toUpperCase();
  if (type !== "INGRESS" && type !== "EGRESS") return "traffic_type is neither INGRESS nor EGRESS";
  const isIngress = type === "INGRESS";
  const [podPort, peerPort] = [portIn(value, "pod_port"), portIn(value, "traffic_in_out_port")];
  if (podPort === undefined || peerPort === undefined) return "a port is none";
  if (hasPorts(protocol) && (isIngress ? podPort : peerPort) === 0) return "the port that was connected to is missing";
  const time = timeIn(value, "time_stamp");
  if (time === null) return "time_stamp is no time";
  // Another word says nothing of how the connection ended; that it was made, the row says all the same.
  const decision = textIn(value, "decision")?.toUpperCase();
  return {
    uuid: textIn(value, "uuid") ?? "",
    podName: textIn(value, "pod_name"),
    podNamespace: textIn(value, "pod_namespace"),
    podAddress,
    peerAddress,
    podPort,
    peerPort,
    protocol,
    isIngress,
    verdict: decision === "ALLOW" ? "allow" : decision === "DROP" ? "drop" : undefined,
    time,
  };
}

export function readPodRow(value: unknown): PodRow | string {
  if (!isMapping(value)) return "no JSON object";
  const name = textIn(value, "pod_name");
  if (name === undefined) return "pod_name is missing";
  const address = textIn(value, "pod_ip");
  const time = timeIn(value, "time_stamp");
  const object = isMapping(value.pod_obj) ? value.pod_obj : undefined;
  const spec = object !== undefined && isMapping(object.spec) ? object.spec : undefined;
  return {
    name,
    namespace: textIn(value, "pod_namespace"),
    address: address === undefined ? undefined : parseAddress(address),
    nodeName: textIn(value, "node_name"),
    isDead: value.is_dead === true,
    time: time ?? undefined,
    metadata: object !== undefined && isMapping(object.metadata) ? object.metadata : undefined,
    hostNetwork: spec?.hostNetwork === true,
  };
}

export function readServiceRow(value: unknown): ServiceRow | string {
  if (!isMapping(value)) return "no JSON object";
  const [name, namespace] = [textIn(value, "svc_name"), textIn(value, "svc_namespace")];
  if (name === undefined || namespace === undefined || !isMapping(value.service_spec))
    return "svc_name, svc_namespace or service_spec is missing";
  return { name, namespace, object: value.service_spec };
}

/** `port` in the contract of the broker is `dst_port` in its source: both are taken. */
export function readAuditVerdict(value: unknown): AuditVerdict | string {
  if (!isMapping(value)) return "no JSON object";
  const [policyName, verdict] = [textIn(value, "policy_name"), textIn(value, "verdict")];
  if (policyName === undefined || verdict === undefined) return "policy_name or verdict is missing";
  const end = (side: "src" | "dst") => {
    const pod = textIn(value, `${side}_pod`);
    const namespace = textIn(value, `${side}_namespace`);
    const address = textIn(value, `${side}_ip`);
    return pod === undefined ? (address ?? "?") : namespace === undefined ? pod : `${namespace}/${pod}`;
  };
  const port = portIn(value, (value.port ?? null) === null ? "dst_port" : "port");
  const time = timeIn(value, "observed_at");
  if (port === undefined) return "port is none";
  if (time === null) return "observed_at is no time";
  return {
    policyNamespace: textIn(value, "policy_namespace") ?? "",
    policyName,
    source: end("src"),
    destination: end("dst"),
    port: port === 0 ? undefined : port,
    protocol: textIn(value, "protocol") ?? "",
    direction: textIn(value, "direction") ?? "",
    verdict,
    reason: textIn(value, "reason") ?? "",
    time,
  };
}

/** A name; or a number, which is what the controller sends of calls that its own library knows no name for. */
const SYSCALL = /^[a-z0-9_]{1,64}$/;
/** No kernel has as many calls: such a row is not what a controller sends. */
const MOST_SYSCALLS = 1024;

export function readSyscallRow(value: unknown): SyscallRow | string {
  if (!isMapping(value)) return "no JSON object";
  const name = textIn(value, "pod_name");
  const list =
    typeof value.syscalls === "string"
      ? value.syscalls.split(",", MOST_SYSCALLS + 1)
      : Array.isArray(value.syscalls)
        ? value.syscalls
        : undefined;
  const architecture = textIn(value, "arch");
  if (name === undefined || list === undefined || architecture === undefined) return "pod_name, syscalls or arch is missing";
  if (list.length > MOST_SYSCALLS) return "syscalls holds more names than there are system calls";
  // A set that was empty, or joined with an end too many, leaves empty names.
  const syscalls = list.map((item) => (typeof item === "string" ? item.trim() : "?")).filter((syscall) => syscall !== "");
  if (!syscalls.every((syscall) => SYSCALL.test(syscall))) return "syscalls holds what is no name of a system call";
  const time = timeIn(value, "time_stamp");
  return { podName: name, podNamespace: textIn(value, "pod_namespace"), syscalls, architecture, time: time ?? undefined };
}
