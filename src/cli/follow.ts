import type { LogSink } from "../capture/logs/logSink.ts";
import { type FlowLogOptions, readFlowLog } from "../capture/logs/readFlowLog.ts";
import { epochsOf, surroundingsOf } from "../evaluate/surroundings.ts";
import { FlowTable } from "../flow/flowTable.ts";
import { L7Hints } from "../flow/hints.ts";
import { NameTable } from "../flow/names.ts";
import { LoggedParties } from "../flow/parties.ts";
import { RunningConnections } from "../flow/running.ts";
import { formatRfc3339 } from "../net/time.ts";
import { type Cause, findCauses } from "../report/causes.ts";
import type { SimulationResult } from "../report/simulationResult.ts";
import { printable } from "../report/text.ts";
import { UsageError } from "./errors.ts";
import { logOptionsOf, refuseUnusable, type Traffic } from "./inputs.ts";
import { readNames } from "./names.ts";
import { observationOf } from "./observe.ts";
import { judgeTraffic, type Preparation, prepare, type SimulateFlags } from "./simulate.ts";

/** How often new records are judged at least, and how much of the time that may take. */
const TICK_MS = 1000;
const IDLE_SHARE = 9;
/** Rows that are kept one by one before older ones become sums, and how old (seconds) these are: less where there are too many. */
const MOST_ROWS = 1 << 17;
const AGES = [60, 5, -1];

/**
 * Judges a stream of flow records as it comes, and tells of each denied connection when it first appears. Returns what a simulation of
 * the whole stream returns, when it ends or when the user ends it (SIGINT, SIGTERM).
 */
export async function followSimulation(flags: SimulateFlags, tell: (line: string) => void): Promise<SimulationResult> {
  const [path] = flags.flows;
  if (flags.flows.length !== 1 || flags.pcap.length > 0)
    throw new UsageError(
      "--follow: exactly one --flows is followed, `-` for standard input (hubble observe -f -o json | … --flows - --follow)",
    );
  if (flags.since !== undefined || flags.until !== undefined)
    throw new UsageError("--follow: --since and --until bound what was recorded; a stream begins now and ends with Ctrl-C");
  const prepared = await prepare(flags);
  return await new Follower(prepared, tell).run(path, logOptionsOf(flags));
}

class Follower {
  readonly #prepared: Preparation;
  readonly #tell: (line: string) => void;
  readonly #names = new NameTable();
  readonly #parties = new LoggedParties();
  readonly #running: RunningConnections;
  /** What was told of already. */
  readonly #told = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #records = 0;
  #judged = 0;
  /** What went wrong between two batches, and how the reading is ended for it. */
  #failure: unknown;
  #end: () => void = () => {};

  constructor(prepared: Preparation, tell: (line: string) => void) {
    this.#prepared = prepared;
    this.#tell = tell;
    const { cluster } = prepared.sources;
    const table = new FlowTable();
    const epochs = epochsOf(cluster, table);
    if (epochs !== undefined) table.epochs = epochs;
    this.#running = new RunningConnections(table, new L7Hints(), this.#parties, surroundingsOf(cluster));
    if (prepared.flags.dns !== undefined) readNames(prepared.flags.dns, this.#names);
  }

  async run(path: string, options: FlowLogOptions): Promise<SimulationResult> {
    const running = this.#running;
    const handedOn: unknown[] = [];
    const target = {
      handedOn,
      names: this.#names,
      parties: this.#parties,
      everyRequest: this.#prepared.everyRequest,
      get table() {
        return running.table;
      },
      get hints() {
        return running.hints;
      },
    };
    const ending = new AbortController();
    const end = () => ending.abort();
    process.once("SIGINT", end);
    process.once("SIGTERM", end);
    try {
      this.#end = end;
      const input = await readFlowLog(path, target, { ...options, signal: ending.signal, afterBatch: (sink) => this.#noted(sink) });
      refuseUnusable(input, ending.signal.aborted);
      if (handedOn.length > 0)
        throw new UsageError(`${input.name}: an export of kguardian's broker is no stream: read it without --follow`);
      clearTimeout(this.#timer);
      if (this.#failure !== undefined) throw this.#failure;
      const result = this.#judge([input]);
      this.#tellNew(result);
      return result;
    } finally {
      clearTimeout(this.#timer);
      process.removeListener("SIGINT", end);
      process.removeListener("SIGTERM", end);
    }
  }

  /** Has new records judged soon, and not more often than is worth it. */
  #noted(sink: LogSink): void {
    this.#records = sink.records;
    if (this.#running.table.size > MOST_ROWS) this.#settle();
    if (this.#timer !== undefined || this.#records === this.#judged) return;
    this.#later(TICK_MS, sink);
  }

  #later(milliseconds: number, sink: LogSink): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#records === this.#judged) return;
      this.#judged = this.#records;
      const begun = performance.now();
      try {
        this.#tellNew(this.#judge([sink.summary("")]));
      } catch (error) {
        this.#failure = error;
        this.#end();
        return;
      }
      const spent = performance.now() - begun;
      this.#later(Math.max(TICK_MS, spent * IDLE_SHARE), sink);
    }, milliseconds);
  }

  #settle(): void {
    const { table } = this.#running;
    let newest = 0;
    for (let row = 0; row < table.size; row++) newest = Math.max(newest, table.lastSeconds(row));
    for (const age of AGES) if (this.#running.table.size > MOST_ROWS / 2) this.#running.settle(newest - age);
  }

  #judge(inputs: Traffic["inputs"]): SimulationResult {
    const { table, hints } = this.#running;
    const traffic: Traffic = { table, hints, names: this.#names, parties: this.#parties, inputs, notes: [] };
    const { flags, sources } = this.#prepared;
    return judgeTraffic(this.#prepared, observationOf(flags, sources, traffic, this.#running.now()));
  }

  #tellNew(result: SimulationResult): void {
    for (const cause of findCauses(result, "would-drop")) {
      if (cause.accepted !== undefined) continue;
      const key = [cause.from, cause.to, cause.port, cause.deniedBy].join("\u0000");
      if (this.#told.has(key)) continue;
      this.#told.add(key);
      this.#tell(lineOf(result, cause));
    }
  }
}

function lineOf({ simulation: { connections } }: SimulationResult, { example, from, to, port, deniedBy, why }: Cause): string {
  const time = formatRfc3339(connections.firstSeconds(example), connections.firstNanoseconds(example))?.slice(11, 19) ?? "--:--:--";
  return printable(`${time}   WOULD DROP   ${from} -> ${to}   ${port}   ${deniedBy}   ${why}`);
}
