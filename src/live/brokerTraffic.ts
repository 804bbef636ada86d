import type { Backend, Pod, Service } from "../cluster/objects.ts";
import type { ServiceTarget } from "../cluster/services.ts";
import { type FlowTable, PERHAPS_REPLY, PROHIBITED_BY_ERROR, STATED_ALLOWED, UNCOUNTED, UNJUDGED, UNTALLIED } from "../flow/flowTable.ts";
import { addStated } from "../flow/logged.ts";
import type { LoggedParties, LoggedParty } from "../flow/parties.ts";
import { type Address, isIPv4, wordsOfAddress } from "../net/address.ts";
import { hasPorts } from "../net/protocol.ts";
import { compareInstants, type Instant, secondsOf } from "../net/time.ts";
import { type BrokerCluster, type End, Ends } from "./brokerEnds.ts";
import { Replies } from "./brokerReplies.ts";
import type { TrafficRow } from "./brokerRows.ts";
import { append } from "./multimaps.ts";

/** Where connections go. */
export interface BrokerSink {
  readonly table: FlowTable;
  readonly parties: LoggedParties;
  /** Epoch seconds. */
  readonly since?: number;
  readonly until?: number;
}

/** What became of the rows. */
export interface BrokerReading {
  readonly rows: number;
  readonly connections: number;
  /** Rows that are half of another connection's traffic back, as older brokers stored it. */
  readonly replies: number;
  /** Rows of what never left its pod: no policy sees it. */
  readonly loopback: number;
  /** Rows of before --since and after --until. */
  readonly outside: number;
}

/** A connection as one row or both ends' rows show it. */
interface Flow {
  readonly source: End;
  destination: End;
  readonly protocol: number;
  /** The initiator's; 0: not told. */
  readonly sourcePort: number;
  readonly port: number;
  readonly verdict: TrafficRow["verdict"];
  first: Instant | undefined;
  /** Whether it may be a reply. */
  isDoubtful: boolean;
  /** Whether the initiator's own pod reported it: it shows what was dialled. */
  fromSource: boolean;
  via: { readonly address: Address; readonly port: number } | undefined;
}

/**
 * Adds the broker's rows to a flow table as connections. Each row is one end's view: the dialled view of a connection through a
 * Service is joined with what arrived at a backend, both ends' rows of one connection count once, and rows that are replies (older
 * brokers guessed who began from the ports) become none. Rows name pods; addresses change hands.
 */
export function addBrokerTraffic(rows: readonly TrafficRow[], cluster: BrokerCluster, sink: BrokerSink): BrokerReading {
  const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = sink;
  const distinct = distinctRows(rows);
  const inside = distinct.filter(({ time }) => {
    const seconds = time === undefined ? undefined : secondsOf(time);
    return seconds === undefined || (seconds >= since && seconds <= until);
  });
  // Rows of another time still tell whose an address is, and which connections there are that others are replies of.
  const ends = new Ends(distinct, cluster);
  const replies = new Replies(distinct, cluster);
  const flows = new Map<string, Flow>();
  let [folded, loopback] = [0, 0];
  for (const row of inside) {
    if (isLoopback(row.peerAddress)) {
      loopback++;
      continue;
    }
    const turned = replies.of(row);
    if (turned !== row) folded++;
    if (turned !== "reply") merge(flows, { ...flowOf(turned, ends), isDoubtful: replies.isDoubtful(turned) }, ends);
  }
  joinServices([...flows.values()], cluster, ends);
  let connections = 0;
  // By what they are: the broker's order is that of times, which say nothing where they are equal.
  for (const [, flow] of [...flows].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (flow.via === CONSUMED) continue;
    connections++;
    emit(flow, ends, sink);
  }
  return { rows: inside.length, connections, replies: folded, loopback, outside: distinct.length - inside.length };
}

/** 127/8 and ::1 (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3). */
function isLoopback(address: Address): boolean {
  return address === 1n || (isIPv4(address) && (address & 0xff000000n) === 0x7f000000n);
}

/** Rows come several times where pods were asked for one by one. */
function distinctRows(rows: readonly TrafficRow[]): readonly TrafficRow[] {
  const seen = new Set<string>();
  return rows.filter((row) => {
    if (row.uuid === "") return true;
    // A broker that gives two rows one id must not lose one of them.
    const { uuid, podName, podNamespace, podAddress, podPort, peerAddress, peerPort, protocol, isIngress, verdict } = row;
    const key = [uuid, podNamespace, podName, podAddress, podPort, peerAddress, peerPort, protocol, isIngress, verdict].join();
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function flowOf(row: TrafficRow, ends: Ends): Flow {
  const { isIngress, protocol, verdict, time, podPort, peerPort, peerAddress } = row;
  const own = ends.ownEnd(row);
  const port = hasPorts(protocol) ? (isIngress ? podPort : peerPort) : 0;
  const peer = ends.endOf(peerAddress, time, isIngress ? undefined : { protocol, port });
  return {
    source: isIngress ? peer : own,
    destination: isIngress ? own : peer,
    protocol,
    // What was dropped is told with its own port: each try is a row. Of what was allowed there is one row, whatever the port.
    sourcePort: verdict === "drop" && !isIngress && hasPorts(protocol) ? podPort : 0,
    port,
    verdict,
    first: time,
    isDoubtful: false,
    fromSource: !isIngress,
    via: undefined,
  };
}

/** Both ends' rows of one connection are one. */
function merge(flows: Map<string, Flow>, flow: Flow, ends: Ends): void {
  const key = `${flow.source.key}|${flow.destination.key}|${flow.protocol}|${flow.port}|${flow.sourcePort}|${flow.verdict}`;
  const known = flows.get(key);
  if (known === undefined) {
    flows.set(key, flow);
    return;
  }
  known.fromSource ||= flow.fromSource;
  known.isDoubtful &&= flow.isDoubtful;
  known.first = firstOf(known, flow.first, ends);
}

/**
 * Returns since when a connection is known, given another moment at which it was seen. Addresses are resolved as of then: the earliest
 * moment at which as many ends as possible were pods, since what was dialled may be older than the pod that answers there now.
 */
function firstOf({ source, destination, first }: Flow, other: Instant | undefined, ends: Ends): Instant | undefined {
  if (first === undefined || other === undefined) return first ?? other;
  const podsAt = (time: Instant) => [source, destination].filter((end) => ends.podOf(end, time) !== undefined).length;
  const [here, there] = [podsAt(first), podsAt(other)];
  return there > here || (there === here && compareInstants(other, first) < 0) ? other : first;
}

/** Stands for the dialled view of a connection whose backends are known: those are the connections. */
const CONSUMED = { address: 0n, port: 0 };

/** Where a dialled Service leads: as it does now, or by its selector where the backend is gone since. */
interface Leading {
  readonly service: Service;
  readonly selector: readonly (readonly [string, string])[];
  /** `address port` of the backends. */
  readonly sockets: ReadonlySet<string>;
  readonly ports: ReadonlySet<number>;
}

/** Joins what was dialled at Services with what arrived at their backends. */
function joinServices(flows: readonly Flow[], { serviceIndex }: BrokerCluster, ends: Ends): void {
  const dialled = new Map<string, { readonly flow: Flow; readonly leading: Leading }[]>();
  // Backends of one Service and port are one list, whoever dials it.
  const leadings = new Map<readonly Backend[], Leading>();
  for (const flow of flows) {
    if (flow.verdict === "drop") continue;
    const target = serviceIndex.find(flow.destination.address, flow.protocol, flow.port);
    // A port that the Service does not have leads nowhere; a scan dials thousands of them.
    if (target?.servicePort === undefined) continue;
    let leading = leadings.get(target.backends);
    if (leading === undefined) leadings.set(target.backends, (leading = leadingOf(target)));
    append(dialled, `${flow.source.key}|${flow.protocol}`, { flow, leading });
  }
  const consumed = new Set<Flow>();
  for (const flow of flows) {
    // A pod that dialled the backend itself has said so.
    if (flow.fromSource || flow.verdict === "drop") continue;
    const all = dialled.get(`${flow.source.key}|${flow.protocol}`);
    if (all === undefined) continue;
    const pod = ends.podOf(flow.destination, flow.first);
    const socket = `${flow.destination.address} ${flow.port}`;
    let best: Flow | undefined;
    for (const each of all)
      if (leadsTo(each.leading, socket, flow.port, pod) && (best === undefined || isCloser(each.flow, best, flow))) best = each.flow;
    if (best === undefined) continue;
    flow.via = { address: best.destination.address, port: best.port };
    flow.first = firstOf(flow, best.first, ends);
    consumed.add(best);
  }
  for (const flow of consumed) flow.via = CONSUMED;
}

function leadingOf({ service, backends }: ServiceTarget): Leading {
  return {
    service,
    selector: Object.entries(service.selector ?? {}),
    sockets: new Set(backends.map(({ address, port }) => `${address} ${port}`)),
    ports: new Set(backends.map(({ port }) => port)),
  };
}

function leadsTo({ service, selector, sockets, ports }: Leading, socket: string, port: number, pod: Pod | undefined): boolean {
  if (sockets.has(socket)) return true;
  if (pod === undefined || selector.length === 0 || (ports.size > 0 && !ports.has(port))) return false;
  const { namespace, labels } = pod;
  return namespace === service.namespace && selector.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}

/** Reports whether of two dialled Services `a` is the likelier one; equally likely ones are told apart by what they are alone. */
function isCloser(a: Flow, b: Flow, arrived: Flow): boolean {
  const further = distance(a, arrived) - distance(b, arrived);
  if (further !== 0) return further < 0;
  const [x, y] = [a.destination.address, b.destination.address];
  if (x !== y) return x < y;
  return a.port === b.port ? a.verdict === "allow" : a.port < b.port;
}

function distance({ first: a }: Flow, { first: b }: Flow): number {
  return a === undefined || b === undefined ? 0 : Math.abs(a.seconds - b.seconds + (a.nanoseconds - b.nanoseconds) * 1e-9);
}

function emit(flow: Flow, ends: Ends, { table, parties }: BrokerSink): void {
  const { protocol, port, sourcePort, verdict, via } = flow;
  const idOf = (address: Address, party: LoggedParty) => {
    const [w0, w1, w2, w3] = wordsOfAddress(address);
    return table.addresses.intern(w0, w1, w2, w3, parties.intern(party));
  };
  const partyOf = (end: End): LoggedParty => (end.pod === undefined || ends.isOwner(end, flow.first) ? {} : { pod: end.pod, isSure: true });
  const dialled = via === undefined ? {} : { via: { addressId: idOf(via.address, {}), port: via.port } };
  addStated(table, {
    source: idOf(flow.source.address, partyOf(flow.source)),
    destination: idOf(flow.destination.address, { ...partyOf(flow.destination), ...dialled }),
    protocol,
    sourcePort: sourcePort === 0 ? undefined : sourcePort,
    destinationPort: port,
    origin: table.origins.of("broker", ""),
    bits:
      (flow.isDoubtful ? PERHAPS_REPLY : 0) |
      UNCOUNTED |
      UNTALLIED |
      (verdict === "allow" ? STATED_ALLOWED : verdict === "drop" ? PROHIBITED_BY_ERROR : UNJUDGED),
    start: flow.first,
    packets: 0,
    bytes: 0,
  });
}
