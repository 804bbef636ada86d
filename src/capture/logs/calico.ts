import type { LoggedParty } from "../../flow/parties.ts";
import { plural } from "../../net/number.ts";
import { hasPorts } from "../../net/protocol.ts";
import type { Instant } from "../../net/time.ts";
import { countOf, epochOf, type Fields, isAbsent, objectIn, portOf, protocolOf, rfc3339Of, shown, textIn, textsIn } from "./fields.ts";
import { BadRecord, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import type { LogEnd, LogSink } from "./logSink.ts";

/*
 * Calico's flows: Goldmane's (projectcalico/calico goldmane/proto/api.proto), Whisker's back end, which shows the same with words for
 * numbers, and the flow logs of Calico Enterprise and Cloud. All are aggregates: pods of one owner are one name that ends with `*`,
 * outside addresses are `pub` and `pvt`, and source ports are gone. Both sides report: what the source let pass the destination may
 * deny.
 */

type EndType = "wep" | "hep" | "ns" | "net";
/** api.proto: EndpointType, Reporter, Action. */
const END_TYPES: readonly (EndType | undefined)[] = [undefined, "wep", "hep", "ns", "net"];
const REPORTERS = ["", "src", "dst"];
const ACTIONS = ["", "allow", "deny", "pass"];

const PUBLIC = "pub";
const PRIVATE = "pvt";

/** One end as any of the three formats has it. */
interface CalicoEnd {
  readonly type: EndType | undefined;
  readonly namespace: string | undefined;
  /** Of several pods with `*` at its end. */
  readonly name: string;
  readonly labels: readonly string[];
  readonly address: unknown;
}

interface CalicoFlow {
  readonly source: CalicoEnd;
  readonly destination: CalicoEnd;
  readonly protocol: unknown;
  readonly port: unknown;
  readonly sourcePort: unknown;
  readonly reporter: string;
  readonly action: string;
  readonly start: Instant | undefined;
  readonly end: Instant | undefined;
  readonly packets: number | undefined;
  readonly bytes: number | undefined;
  /** Connections that began within the interval; undefined: not told. */
  readonly started: number | undefined;
}

export const calicoGoldmane: ObjectFormat = {
  name: "calico-goldmane",
  title: "Calico Goldmane flows",
  unit: "object",
  recognizes: ({ objects }: LogHead) => objects.some((object) => isKey(objectIn(object, "Key")) || isKey(objectIn(object, "key"))),
  open: ({ sink }: LogContext) => ({
    read(object) {
      const key = "Key" in object ? objectIn(object, "Key") : objectIn(object, "key");
      if (!isKey(key)) throw new BadRecord(`no flow: Key is missing \`${shown(object)}\``);
      addFlow(
        {
          source: goldmaneEnd(key, "source", textsIn(object, "source_labels")),
          destination: goldmaneEnd(key, "dest", textsIn(object, "dest_labels")),
          protocol: key.proto,
          port: key.dest_port,
          sourcePort: undefined,
          reporter: wordOf(key.reporter, REPORTERS, "reporter"),
          action: wordOf(key.action, ACTIONS, "action"),
          start: epochOf(object.start_time, "start_time", 1),
          end: epochOf(object.end_time, "end_time", 1),
          ...countsOf(object),
          // protojson leaves zeros out.
          started: countOf(object.num_connections_started ?? 0, "num_connections_started"),
        },
        sink,
      );
    },
  }),
};

function isKey(key: Fields): boolean {
  return "proto" in key && "reporter" in key && ("source_name" in key || "dest_name" in key);
}

function goldmaneEnd(key: Fields, side: "source" | "dest", labels: readonly string[]): CalicoEnd {
  const type = key[`${side}_type`];
  return {
    type: typeof type === "number" ? END_TYPES[type] : typeByName(type),
    namespace: textIn(key, `${side}_namespace`),
    name: textIn(key, `${side}_name`) ?? "",
    labels,
    address: undefined,
  };
}

/** Returns a word of an enumeration that is written as its number or as its name; protojson leaves zeros out. */
function wordOf(value: unknown, words: readonly string[], field: string): string {
  if (isAbsent(value)) return "";
  const word =
    typeof value === "number"
      ? words[value]
      : typeof value === "string"
        ? value.toLowerCase().replace(/^(reporter|action)/, "")
        : undefined;
  if (word === undefined) throw new BadRecord(`${field} is none that is known \`${shown(value)}\``);
  return word;
}

const TYPE_NAMES: Readonly<Record<string, EndType>> = {
  wep: "wep",
  workloadendpoint: "wep",
  hep: "hep",
  hostendpoint: "hep",
  ns: "ns",
  networkset: "ns",
  net: "net",
  network: "net",
};

function typeByName(value: unknown): EndType | undefined {
  return typeof value === "string" ? TYPE_NAMES[value.toLowerCase()] : undefined;
}

const WHISKER_FIELDS = ["source_name", "dest_name", "source_labels", "dest_labels", "protocol", "reporter", "action", "policies"];

export const calicoWhisker: ObjectFormat = {
  name: "calico-whisker",
  title: "Calico Whisker flows",
  unit: "object",
  recognizes: ({ objects }: LogHead) => objects.some((object) => WHISKER_FIELDS.every((name) => name in object) && !("proto" in object)),
  open: ({ sink }: LogContext) => ({
    read: (object) =>
      addFlow(
        {
          source: whiskerEnd(object, "source"),
          destination: whiskerEnd(object, "dest"),
          protocol: object.protocol,
          port: object.dest_port,
          sourcePort: undefined,
          reporter: wordOf(object.reporter, REPORTERS, "reporter"),
          action: wordOf(object.action, ACTIONS, "action"),
          start: rfc3339Of(object.start_time, "start_time"),
          end: rfc3339Of(object.end_time, "end_time"),
          ...countsOf(object),
          started: undefined,
        },
        sink,
      ),
  }),
};

/** Whisker does not say of what type an end is. */
function whiskerEnd(object: Fields, side: "source" | "dest"): CalicoEnd {
  const namespace = textIn(object, `${side}_namespace`);
  const name = textIn(object, `${side}_name`) ?? "";
  const labels = (textIn(object, `${side}_labels`) ?? "").split(" | ").filter((label) => label !== "");
  // A network set of a namespace looks like a pod that nobody made: only several pods of one owner are sure to be pods.
  const isPod = namespace !== undefined && name.endsWith("*");
  const type = isPod ? "wep" : namespace !== undefined ? undefined : name === PUBLIC || name === PRIVATE ? "net" : undefined;
  return { type, namespace, name, labels, address: undefined };
}

const ENTERPRISE_FIELDS = ["source_name_aggr", "dest_name_aggr", "source_type", "dest_type", "proto", "reporter", "action"];

export const calicoFlowlog: ObjectFormat = {
  name: "calico-flowlog",
  title: "Calico Enterprise flow logs",
  unit: "object",
  recognizes: ({ objects }: LogHead) => objects.some((object) => ENTERPRISE_FIELDS.every((name) => name in unwrapped(object))),
  open: ({ sink }: LogContext) => ({
    read(outer) {
      const object = unwrapped(outer);
      const started = isAbsent(object.num_flows_started) ? object.num_flows : object.num_flows_started;
      addFlow(
        {
          source: enterpriseEnd(object, "source"),
          destination: enterpriseEnd(object, "dest"),
          protocol: object.proto,
          port: object.dest_port,
          sourcePort: object.source_port,
          reporter: wordOf(object.reporter, REPORTERS, "reporter"),
          action: wordOf(object.action, ACTIONS, "action"),
          start: epochOf(object.start_time, "start_time", 1),
          end: epochOf(object.end_time, "end_time", 1),
          ...countsOf(object),
          started: countOf(started, "num_flows"),
        },
        sink,
      );
    },
  }),
};

/** Elasticsearch's answers hold a document in `_source`. */
function unwrapped(object: Fields): Fields {
  return "_source" in object ? objectIn(object, "_source") : object;
}

function enterpriseEnd(object: Fields, side: "source" | "dest"): CalicoEnd {
  const text = (name: string) => (isAbsent(object[name]) ? undefined : textIn(object, name));
  const labels = object[`${side}_labels`];
  return {
    type: typeByName(object[`${side}_type`]),
    namespace: text(`${side}_namespace`),
    name: text(`${side}_name`) ?? text(`${side}_name_aggr`) ?? "",
    labels: Array.isArray(labels) ? textsIn(object, `${side}_labels`) : textsIn(objectIn(object, `${side}_labels`), "labels"),
    address: object[`${side}_ip`],
  };
}

/** Packets and bytes of both directions together: the sides do not agree on which is in and which is out. */
function countsOf(object: Fields): { readonly packets: number | undefined; readonly bytes: number | undefined } {
  const sum = (...names: readonly string[]) => names.reduce((total, name) => total + (countOf(object[name] ?? 0, name) ?? 0), 0);
  return { packets: sum("packets_in", "packets_out"), bytes: sum("bytes_in", "bytes_out") };
}

function addFlow(flow: CalicoFlow, sink: LogSink): void {
  const protocol = protocolOf(flow.protocol);
  const sourcePort = portOf(flow.sourcePort, "source_port");
  const destinationPort = hasPorts(protocol) ? portOf(flow.port, "dest_port") : undefined;
  sink.gap(
    "aggregated",
    null,
    () => "records are sums over an interval and over the pods of one owner: without source ports, and without most addresses",
  );
  if (hasPorts(protocol) && (destinationPort === undefined || destinationPort === 0)) {
    sink.skip("flow without a destination port (aggregated away)");
    sink.gap(
      "partial",
      1,
      (count) => `${plural(count, "flow")} without a destination port: no policy can be judged by ${count === 1 ? "it" : "them"}`,
    );
    return;
  }
  sink.stated({
    source: endOf(flow.source, "source_ip", sink),
    destination: endOf(flow.destination, "dest_ip", sink),
    protocol,
    sourcePort: sourcePort === 0 ? undefined : sourcePort,
    destinationPort,
    start: flow.start,
    end: flow.end,
    packets: flow.packets,
    bytes: flow.bytes,
    verdict: flow.action === "allow" ? "allow" : flow.action === "deny" ? "deny" : undefined,
    denialDecides: true,
    times: flow.started,
    isUntallied: flow.started === undefined,
    reporter: flow.reporter,
  });
}

function endOf(end: CalicoEnd, field: string, sink: LogSink): LogEnd {
  const { type, namespace, name, labels, address } = end;
  // The name of several pods says less than the address of one.
  if (!isAbsent(address)) return sink.end(address, field, type === "wep" && !name.endsWith("*") ? podOf(end) : undefined);
  switch (type) {
    case "wep":
      return sink.endWithoutAddress({ unaddressed: "pods", ...podOf(end) });
    case "hep":
      return sink.endWithoutAddress({ unaddressed: "node", called: hostnameOf(labels) ?? name });
    case "ns":
      return sink.endWithoutAddress({
        unaddressed: "outside",
        called: `network set ${namespace === undefined ? "" : `${namespace}/`}${name}`,
      });
    case "net":
      // A private address that is no endpoint of Calico's may be a node's.
      return name === PUBLIC
        ? sink.endWithoutAddress({ unaddressed: "outside", called: "public network" })
        : sink.endWithoutAddress({ unaddressed: "host", called: name === PRIVATE ? "private network" : name });
    default: {
      if (namespace !== undefined)
        return sink.endWithoutAddress({ unaddressed: "perhaps-pods", called: `${namespace}/${name}`, ...podOf(end) });
      const hostname = hostnameOf(labels);
      return hostname === undefined
        ? sink.endWithoutAddress({ unaddressed: "unknown", called: name === "" ? "an end without a name" : name })
        : sink.endWithoutAddress({ unaddressed: "node", called: hostname });
    }
  }
}

/** Host endpoints carry the node's labels (kubernetes.io well-known labels). */
function hostnameOf(labels: readonly string[]): string | undefined {
  return labels.find((label) => label.startsWith("kubernetes.io/hostname="))?.slice("kubernetes.io/hostname=".length);
}

/** What a log says of pods. Labels of several are those that all of them have. */
function podOf({ namespace = "", name, labels }: CalicoEnd): LoggedParty {
  return {
    pod: `${namespace}/${name}`,
    ...(labels.length === 0 ? {} : { labels: labels.map((label) => `k8s:${label}`) }),
  };
}
