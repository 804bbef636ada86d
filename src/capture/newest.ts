import { FlowTable } from "../flow/flowTable.ts";
import { L7Hints } from "../flow/hints.ts";
import { NameTable } from "../flow/names.ts";
import { LoggedParties } from "../flow/parties.ts";
import { CaptureError } from "./captureError.ts";
import { CaptureFile } from "./captureFile.ts";
import { plainBuffers } from "./captureFormat.ts";
import { type FlowLogOptions, readFlowLog } from "./logs/readFlowLog.ts";

/**
 * Returns the time of the newest record of all inputs, in epoch seconds. Files are read twice for it; a pipe cannot be. `isStray`: says
 * whether a file may be one that is no log.
 */
export async function newestRecordTime(
  pcaps: readonly string[],
  flows: readonly string[],
  options: FlowLogOptions = {},
  isStray: (path: string) => boolean = () => false,
): Promise<number> {
  if ([...pcaps, ...flows].includes("-"))
    throw new CaptureError(
      "unreadable",
      "standard input cannot be read twice to find its newest record: give --since and --until as RFC 3339 times",
    );
  let newest = Number.NEGATIVE_INFINITY;
  for (const path of pcaps) {
    const sink = {
      ...plainBuffers,
      packet(
        _buffer: Uint8Array,
        _offset: number,
        _captured: number,
        _wire: number,
        _link: number,
        _interface: number,
        seconds: number,
        nanoseconds: number,
      ) {
        newest = Math.max(newest, seconds + nanoseconds * 1e-9);
      },
      name() {},
      expectCopies() {},
    };
    const file = await CaptureFile.open(path, sink);
    await file.read(sink, Number.POSITIVE_INFINITY, 0);
    file.close();
  }
  const table = new FlowTable();
  for (const path of flows) {
    const target = { table, names: new NameTable(), parties: new LoggedParties(), hints: new L7Hints(), handedOn: [] };
    try {
      await readFlowLog(path, target, options);
    } catch (error) {
      if (!(error instanceof CaptureError && isStray(path))) throw error;
    }
    for (let row = 0; row < table.size; row++) newest = Math.max(newest, table.lastSeconds(row) + table.lastNanoseconds(row) * 1e-9);
    table.keep(() => false);
  }
  return newest;
}
