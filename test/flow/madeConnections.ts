import type { Connections } from "../../src/flow/connections.ts";
import type { FlowTable } from "../../src/flow/flowTable.ts";
import { CONNECTION_WORDS, ENDED_SECONDS, STARTED_SECONDS, STATED, TIMED, TRAITS } from "../../src/kernel/constants.ts";

/** A connection as a test says it is, without rows that show it. Addresses are ids of the table. */
export interface MadeConnection {
  readonly source: number;
  readonly destination: number;
  readonly via?: readonly [address: number, port: number];
  readonly protocol: number;
  readonly port: number;
  readonly outcome: number;
  readonly times: number;
  readonly isStated?: boolean | undefined;
  /** Epoch seconds; absent: at no known time. */
  readonly at?: number | undefined;
}

/** Adds a connection to those of a table and returns its number. */
export function addConnection(table: FlowTable, connections: Connections, made: MadeConnection): number {
  const { calls } = table.kernel;
  const [via, viaPort] = made.via ?? [-1, 0];
  const { source, destination, protocol, port } = made;
  const i = calls.internConnection(connections.store, source, 0, destination, 0, via, (viaPort << 16) | port, protocol);
  connections.look();
  const attempts = connections.attempts(i);
  attempts[made.outcome] += made.times;
  connections.setTally(i, { attempts, packets: 0, bytes: 0 });
  const words = table.kernel.words(calls.cellOf(connections.store, i), CONNECTION_WORDS);
  if (made.isStated) words[TRAITS] |= STATED;
  if (made.at !== undefined) {
    const isTimed = (words[TRAITS] & TIMED) !== 0;
    words[STARTED_SECONDS] = isTimed ? Math.min(words[STARTED_SECONDS], made.at) : made.at;
    words[ENDED_SECONDS] = isTimed ? Math.max(words[ENDED_SECONDS], made.at) : made.at;
    words[TRAITS] |= TIMED;
  }
  return i;
}

type Figure = "count" | "packets" | "bytes" | "attempts" | "isCounted" | "sourcePort" | "firstSeconds" | "lastSeconds";

/** Returns one figure of every connection. */
export function valuesOf<Name extends Figure>(connections: Connections, figure: Name): ReturnType<Connections[Name]>[] {
  return Array.from({ length: connections.size }, (_, i) => connections[figure](i) as ReturnType<Connections[Name]>);
}
