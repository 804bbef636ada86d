import { countOf, type Fields, isAbsent, isObject, objectIn, plainText, portOf, protocolOf, rfc3339Of, shown, textIn } from "./fields.ts";
import { BadRecord, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import type { LogEnd, LogSink } from "./logSink.ts";

/*
 * Entries of Google Cloud Logging of two logs, which one export may hold together:
 *
 * - VPC Flow Logs (VPC documentation, "About VPC Flow Logs records"): one direction of a 5-tuple in an interval, as the virtual machine
 *   (or gateway) at its source or its destination saw it. Neither who began nor TCP flags are told, and packets are sampled. The
 *   5-tuple is of packet headers; what is said of pods "might be missing or incorrect".
 * - GKE's network policy log `policy-action` (GKE documentation, "Using network policy logging"; the log's writer in GKE's fork of
 *   Cilium): the verdict of one pod's policies on a connection, at its source (egress) or at its destination (ingress).
 */

/** The payload of an entry: as exported, from BigQuery or Log Analytics, or as the policy logger wrote it on the node. */
function payloadOf(entry: Fields): Fields {
  for (const name of ["jsonPayload", "json_payload"]) if (isObject(entry[name])) return entry[name];
  return entry;
}

function isFlow(payload: Fields): boolean {
  const { connection } = payload;
  return isObject(connection) && "src_ip" in connection && "dest_ip" in connection && "reporter" in payload;
}

function isPolicyAction(payload: Fields): boolean {
  const { connection, disposition } = payload;
  return isObject(connection) && "src_ip" in connection && "direction" in connection && (disposition === "allow" || disposition === "deny");
}

export const gcpVpc: ObjectFormat = {
  name: "gcp-vpc",
  title: "GCP VPC flow log, GKE network policy log",
  unit: "object",
  recognizes: ({ objects }: LogHead) =>
    objects.some((object) => {
      const payload = payloadOf(object);
      return isFlow(payload) || isPolicyAction(payload);
    }),
  open: ({ sink }: LogContext) => ({
    read(entry) {
      const payload = payloadOf(entry);
      if (isFlow(payload)) addFlow(payload, sink);
      else if (isPolicyAction(payload)) addPolicyAction(payload, entry, sink);
      else skip(payload, entry, sink);
    },
  }),
};

/** An entry is another log's where it has a connection but no such reporter or verdict, or names a log of its own. */
function skip(payload: Fields, entry: Fields, sink: LogSink): void {
  const log = textIn(entry, "logName") ?? textIn(entry, "log_name") ?? "";
  if (/vpc_flows$|policy-action$/.test(log) || (log === "" && payload === entry))
    throw new BadRecord("neither a VPC flow (connection and reporter) nor a policy action (connection and disposition)");
  sink.skip(/firewall$/.test(log) ? "an entry of the firewall rules log" : "an entry of another log");
}

function addFlow(payload: Fields, sink: LogSink): void {
  sink.gap("sampled", null, () => "VPC flow logs are made of sampled packets: a connection that is not in them may have been made");
  const connection = objectIn(payload, "connection");
  // What a rule of the network dropped has no counters ("not populated for dropped traffic").
  const isDropped = payload.disposition === "DROPPED";
  sink.half({
    source: endOf(connection.src_ip, "src_ip", objectIn(payload, "src_gke_details"), sink),
    destination: endOf(connection.dest_ip, "dest_ip", objectIn(payload, "dest_gke_details"), sink),
    protocol: protocolOf(connection.protocol),
    sourcePort: portOf(connection.src_port, "src_port"),
    destinationPort: portOf(connection.dest_port, "dest_port"),
    start: rfc3339Of(payload.start_time, "start_time"),
    end: rfc3339Of(payload.end_time, "end_time"),
    packets: countOf(payload.packets_sent, "packets_sent"),
    bytes: countOf(payload.bytes_sent, "bytes_sent"),
    cloudDenied: isDropped,
    reporter: observerOf(payload.reporter, plainText(connection.src_ip), plainText(connection.dest_ip)),
  });
}

/**
 * Who observed a flow. `SRC` of a request and `DEST` of its reply are one machine, so that its two halves are one connection: what
 * tells the two machines apart is which of both addresses is theirs, the one that comes first or the other.
 */
function observerOf(reporter: unknown, source: string, destination: string): string {
  const words = /^(SRC|DEST)(_GATEWAY)?$/.exec(typeof reporter === "string" ? reporter : "");
  if (words === null) throw new BadRecord(`reporter is not SRC, DEST, SRC_GATEWAY or DEST_GATEWAY \`${shown(reporter)}\``);
  const isFirst = words[1] === "SRC" ? source <= destination : destination < source;
  return `${words[2] === undefined ? "instance" : "gateway"} of the ${isFirst ? "first" : "second"} address`;
}

function endOf(address: unknown, field: string, details: Fields, sink: LogSink): LogEnd {
  const pod = objectIn(details, "pod");
  const workload = objectIn(pod, "pod_workload");
  return podEnd(address, field, pod, textIn(workload, "workload_type"), textIn(workload, "workload_name"), sink);
}

function podEnd(
  address: unknown,
  field: string,
  pod: Fields,
  kind: string | undefined,
  workload: string | undefined,
  sink: LogSink,
): LogEnd {
  const [namespace, name] = [textIn(pod, "pod_namespace"), textIn(pod, "pod_name")];
  if (namespace === undefined || name === undefined) return sink.end(address, field);
  const made = kind === undefined || workload === undefined ? {} : { workload: `${KINDS.get(kind) ?? kind}/${workload}` };
  return sink.end(address, field, { pod: `${namespace}/${name}`, ...made });
}

/** Kinds of workloads in capitals, as VPC Flow Logs have them; the policy log has Kubernetes' own words. */
const KINDS = new Map(
  ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController"].flatMap((kind) => [
    [kind.toUpperCase(), kind],
    [kind.replace(/(?<!^)[A-Z]/g, "_$&").toUpperCase(), kind],
  ]),
);

/**
 * A denial stands for `count` packets of one client, server and port, whatever port they came from: the writer leaves the source port
 * out of what it counts by. So no record is taken as one of a certain source port, or the same connections would be told twice,
 * once allowed where they left and once denied where they arrived.
 */
function addPolicyAction(payload: Fields, entry: Fields, sink: LogSink): void {
  const connection = objectIn(payload, "connection");
  const { direction } = connection;
  if (direction !== "ingress" && direction !== "egress") throw new BadRecord(`direction is not ingress or egress \`${shown(direction)}\``);
  const [source, destination] = [objectIn(payload, "src"), objectIn(payload, "dest")];
  const count = countOf(payload.count, "count") ?? 1;
  sink.stated({
    source: podEnd(connection.src_ip, "src_ip", source, textIn(source, "workload_kind"), textIn(source, "workload_name"), sink),
    destination: podEnd(
      connection.dest_ip,
      "dest_ip",
      destination,
      textIn(destination, "workload_kind"),
      textIn(destination, "workload_name"),
      sink,
    ),
    protocol: protocolOf(connection.protocol),
    destinationPort: portOf(connection.dest_port, "dest_port"),
    start: rfc3339Of(isAbsent(payload.timestamp) ? entry.timestamp : payload.timestamp, "timestamp"),
    verdict: payload.disposition === "deny" ? "deny" : "allow",
    denialDecides: true,
    times: Math.max(1, count),
    reporter: `policy ${direction}`,
  });
  sink.gap(
    "rate-limited",
    null,
    () => "the network policy log has so many records a second and node, and allowed connections only where a policy selects the pod",
  );
}
