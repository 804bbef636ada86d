import type { Cluster } from "../cluster/snapshot.ts";
import { shortWorkload } from "../cluster/workloads.ts";
import type { Address } from "../net/address.ts";
import { compare } from "../net/order.ts";
import { UDP } from "../net/protocol.ts";
import { type Conversation, type Ending, isAnswered } from "./conversation.ts";
import type { Measured } from "./traffic.ts";
import { SECOND } from "./units.ts";

/** What was made between two parties at one port. */
export interface MadeLink {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly port: number;
  connections: number;
  packets: number;
  bytes: number;
  readonly ended: Record<Ended, number>;
}

/** How a connection ended; datagrams that need no answer are told apart from those that had none. */
export type Ended = Ending | "oneWay";

function isOneWay({ protocol, exchanges }: Conversation): boolean {
  return protocol === UDP && !exchanges.some(isAnswered);
}

/** Counts what is made, by workloads. `cluster` is that after the changes of the run. */
export class TrafficSummary {
  connections = 0;
  packets = 0;
  bytes = 0;
  readonly #cluster: Cluster;
  readonly #links = new Map<string, MadeLink>();
  /** Names of addresses that only one party had. */
  readonly #labels = new Map<Address, string>();
  /** Names of the outside are told by answers. */
  readonly #names = new Map<Address, string>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  add({ conversation, measure }: Measured): void {
    const { start, client, server, serverPort, protocol, ending, exchanges } = conversation;
    if (exchanges.length === 1 && exchanges[0].kind === "dns")
      for (const address of exchanges[0].answers) this.#names.set(address, exchanges[0].name);
    const source = this.#labelOf(client, start);
    const destination = this.#labelOf(server, start);
    const key = `${source}>${destination}>${protocol}/${serverPort}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      const ended = { finished: 0, reset: 0, open: 0, refused: 0, unanswered: 0, oneWay: 0 };
      this.#links.set(key, (link = { source, destination, protocol, port: serverPort, connections: 0, packets: 0, bytes: 0, ended }));
    }
    link.connections++;
    link.packets += measure.packets;
    link.bytes += measure.bytes;
    link.ended[ending === "unanswered" && isOneWay(conversation) ? "oneWay" : ending]++;
    this.connections++;
    this.packets += measure.packets;
    this.bytes += measure.bytes;
  }

  /** Returns the links, in the order of their names. */
  get links(): readonly MadeLink[] {
    return [...this.#links.values()].sort(
      (a, b) => compare(a.source, b.source) || compare(a.destination, b.destination) || a.protocol - b.protocol || a.port - b.port,
    );
  }

  #labelOf(address: Address, start: number): string {
    const known = this.#labels.get(address);
    if (known !== undefined) return known;
    const owner = this.#cluster.timeline.ownerAt(address, start / SECOND);
    const name = this.#names.get(address);
    const label =
      owner.type === "pod"
        ? `${owner.pod.namespace}/${shortWorkload(`${owner.pod.workload.kind}/${owner.pod.workload.name}`)}`
        : owner.type === "node"
          ? `node/${owner.node.name}`
          : owner.type === "external"
            ? (name ?? "external")
            : "unknown";
    if (!this.#cluster.timeline.isReused(address) && (owner.type !== "external" || name !== undefined)) this.#labels.set(address, label);
    return label;
  }
}
