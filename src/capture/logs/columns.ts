import type { Instant } from "../../net/time.ts";
import { columnsOf } from "./csv.ts";
import { isAbsent, later, shown } from "./fields.ts";
import { BadRecord } from "./flowLog.ts";

/*
 * Tables whose first line names the columns: versions of a tool name them differently, and users choose which there are and in which
 * order.
 */

/** Names that a column may have, by what it holds. */
export type ColumnNames<Column extends string> = Readonly<Record<Column, readonly string[]>>;

/** Takes one row apart: the text of a column without spaces around it, undefined where the table does not have it. */
export type Cells<Column extends string> = (column: Column) => string | undefined;

/** Returns how rows under a header are taken apart. Throws BadRecord where a column is missing that records are of no use without. */
export function tableOf<Column extends string>(
  header: readonly string[],
  known: ColumnNames<Column>,
  needed: readonly Column[],
): (row: readonly string[]) => Cells<Column> {
  const places = columnsOf(header);
  const columns = Object.keys(known) as Column[];
  const found = new Map(columns.map((column) => [column, known[column].map((name) => places.get(name)).find((at) => at !== undefined)]));
  const missing = needed.filter((column) => found.get(column) === undefined).map((column) => known[column].join(" or "));
  if (missing.length > 0) throw new BadRecord(`the columns of the log lack ${missing.join(", ")} \`${header.join(",").slice(0, 200)}\``);
  return (row) => (column) => {
    const at = found.get(column);
    return at === undefined ? undefined : row[at]?.trim();
  };
}

/** Returns the moment so many seconds after another, where both are told. */
export function secondsAfter(start: Instant | undefined, value: string | undefined, name: string): Instant | undefined {
  if (start === undefined || isAbsent(value)) return undefined;
  if (!/^\d{1,9}(\.\d{1,9})?$/.test(value!)) throw new BadRecord(`${name} is not in seconds \`${shown(value)}\``);
  return later(start, Number(value));
}
