import type { ServiceIndex } from "../cluster/services.ts";
import type { Address } from "../net/address.ts";
import { FIRST_EPHEMERAL_PORT } from "../net/clientPorts.ts";
import { TCP } from "../net/protocol.ts";
import type { BrokerCluster } from "./brokerEnds.ts";
import type { TrafficRow } from "./brokerRows.ts";
import { addTo } from "./multimaps.ts";

/** So many different ports of one client are no service's: a client takes another for each connection. */
const SEVERAL_PORTS = 3;

/**
 * Tells replies from connections. Brokers before 2026-09 guessed from the ports who began a TCP connection, and kept replies as
 * EGRESS rows to the client's ephemeral port (kguardian issue 881).
 */
export class Replies {
  readonly #serviceIndex: ServiceIndex;
  /** `client server`: somebody was seen to connect there. */
  readonly #talks = new Set<string>();
  /** Who was seen to dial an ephemeral port: a server that listens there has several clients, or says so itself. */
  readonly #diallers = new Map<string, Set<Address>>();
  /** Ephemeral ports of a client that a server sent to. */
  readonly #ports = new Map<string, Set<number>>();

  constructor(rows: readonly TrafficRow[], { serviceIndex }: BrokerCluster) {
    this.#serviceIndex = serviceIndex;
    const replies = new Set(rows.filter((row) => this.#maybeReply(row)));
    // Who connects to whom matters of those alone that may have replied.
    const servers = new Set([...replies].map(({ podAddress }) => podAddress));
    const addTalk = (client: Address, server: Address) => {
      if (servers.has(server)) this.#talks.add(`${client} ${server}`);
    };
    for (const row of rows) {
      const { podAddress, peerAddress, protocol, peerPort, podPort, isIngress } = row;
      if (protocol !== TCP) continue;
      if (isIngress) {
        addTalk(peerAddress, podAddress);
        // Whoever listens says so: its port is no client's.
        if (podPort >= FIRST_EPHEMERAL_PORT) addTo(this.#diallers, `${podAddress} ${podPort}`, podAddress);
        continue;
      }
      if (replies.has(row)) {
        addTo(this.#diallers, `${peerAddress} ${peerPort}`, podAddress);
        continue;
      }
      addTalk(podAddress, peerAddress);
      for (const backend of serviceIndex.find(peerAddress, protocol, peerPort)?.backends ?? []) addTalk(podAddress, backend.address);
    }
    // A port that somebody listens on is no client's.
    for (const row of replies) if (!this.#isService(row)) addTo(this.#ports, `${row.podAddress} ${row.peerAddress}`, row.peerPort);
  }

  /**
   * Returns the row itself, the connection's row that a reply is turned into, or that it is a reply: sent to several ephemeral ports
   * of who had connected to this pod. One or two such ports may be a service of the other side, which leaving out would hide: they
   * are doubtful.
   */
  of(row: TrafficRow): TrafficRow | "reply" {
    if (!this.#maybeReply(row)) return row;
    if (this.#isService(row)) return row;
    const { podAddress, peerAddress, podPort, peerPort } = row;
    if (podPort > 0 && podPort < peerPort && this.#serviceIndex.isServing(podAddress, row.protocol, podPort))
      return { ...row, isIngress: true };
    return this.#talks.has(`${peerAddress} ${podAddress}`) && this.#portsOf(row) >= SEVERAL_PORTS ? "reply" : row;
  }

  /** Reports whether a row that counts as a connection may be a reply. */
  isDoubtful(row: TrafficRow): boolean {
    return this.#maybeReply(row) && !this.#isService(row) && this.#talks.has(`${row.peerAddress} ${row.podAddress}`);
  }

  /** Reports whether the other side is known to listen there: it says so itself, or others dial it too. */
  #isService({ podAddress, peerAddress, peerPort }: TrafficRow): boolean {
    const diallers = this.#diallers.get(`${peerAddress} ${peerPort}`);
    return diallers !== undefined && (diallers.size > 1 || !diallers.has(podAddress));
  }

  #portsOf({ podAddress, peerAddress }: TrafficRow): number {
    return this.#ports.get(`${podAddress} ${peerAddress}`)?.size ?? 0;
  }

  #maybeReply({ isIngress, protocol, verdict, peerAddress, peerPort }: TrafficRow): boolean {
    if (isIngress || protocol !== TCP || verdict === "drop" || peerPort < FIRST_EPHEMERAL_PORT) return false;
    return (
      !this.#serviceIndex.isServing(peerAddress, protocol, peerPort) &&
      this.#serviceIndex.find(peerAddress, protocol, peerPort) === undefined
    );
  }
}
