import { openBytes } from "../src/capture/byteSource.ts";
import { readLines } from "../src/capture/lines.ts";
import { readFlowLog } from "../src/capture/logs/readFlowLog.ts";
import { FlowTable } from "../src/flow/flowTable.ts";
import { L7Hints } from "../src/flow/hints.ts";
import { NameTable } from "../src/flow/names.ts";
import { LoggedParties } from "../src/flow/parties.ts";

/*
 * Reads a flow log as `--flows` does, into the flow table, and no further; or, with `parse` as second argument, only parses each line as
 * JSON: the least that a reader of JSON Lines in JavaScript does.
 */
const [path, what] = process.argv.slice(2);

if (what === "parse") {
  let lines = 0;
  for await (const batch of readLines(await openBytes(path)))
    for (const line of batch) {
      JSON.parse(line ?? "0");
      lines++;
    }
  process.stdout.write(`lines ${lines}\n`);
} else {
  const target = { table: new FlowTable(), names: new NameTable(), parties: new LoggedParties(), hints: new L7Hints() };
  const { format, records, warnings } = await readFlowLog(path, target);
  process.stdout.write(`${format}: records ${records}, 5-tuples ${target.table.size}${warnings.map((text) => `; ${text}`).join("")}\n`);
}
