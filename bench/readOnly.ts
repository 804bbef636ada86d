import { readCaptures } from "../src/capture/observation.ts";
import { FlowTable } from "../src/flow/flowTable.ts";
import { NameTable } from "../src/flow/names.ts";

/*
 * The reader alone, for `npm run bench read`: reads one capture into the flow table, with no cluster and no policies, and prints
 * one line of counts that can be held against count5's. Rows are connections, and tunnels are looked into, so `flows` is not
 * count5's `tuples`.
 */

const path = process.argv[2];
if (path === undefined) {
  process.stderr.write("usage: readOnly FILE\n");
  process.exit(2);
}
const table = new FlowTable();
const { inputs } = await readCaptures([path], table, new NameTable());
const { packets, bytes, skipped } = inputs[0];
const other = Object.values(skipped).reduce((sum, count) => sum + count, 0);
process.stdout.write(`packets ${packets} bytes ${bytes} flows ${table.size} other ${other}\n`);
