import type { FlowLogFormat } from "../../src/capture/logs/flowLog.ts";
import { LogSink } from "../../src/capture/logs/logSink.ts";
import { connect } from "../../src/flow/connections.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import type { Surroundings } from "../../src/flow/joining.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { describe } from "./flowLogs.ts";
import { NOTHING_KNOWN } from "./replay.ts";

/** Reads lines or objects of one format and returns its connections as `describe` has them, and the flow table. */
export function readRecords(
  format: FlowLogFormat,
  records: readonly unknown[],
  { fields, known = NOTHING_KNOWN }: { readonly fields?: readonly string[]; readonly known?: Surroundings } = {},
) {
  const target = {
    table: new FlowTable(),
    names: new NameTable(),
    parties: new LoggedParties(),
    hints: new L7Hints(),
    everyRequest: true,
  };
  const head = { lines: [], objects: [], isLineByLine: true, columns: undefined };
  const reader = format.open({ sink: new LogSink(format.name, target), head, fields });
  for (const record of records) (reader.read as (record: unknown) => void)(record);
  reader.finish?.();
  const connections = connect(target.table, known, target.hints, target.parties);
  return { table: target.table, parties: target.parties, lines: describe({ ...target, connections, inputs: [] }) };
}
