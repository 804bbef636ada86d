import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import type { ColumnMetaData, FileMetaData } from "hyparquet";
import { systemReason } from "../byteSource.ts";
import { CaptureError } from "../captureError.ts";
import type { PagedColumn } from "./parquetColumn.ts";

/** What a Parquet file begins and ends with (Apache Parquet format, "File format"). */
export const PARQUET_MAGIC = "PAR1";

/** Rows of one group are held at once: a file that claims more of them than it has bytes wants to fill the memory. */
const LEAST_ROWS_ALLOWED = 1 << 20;

/** How Parquet's codecs are undone; Snappy is the library's own. A page says how long it will be, and none becomes longer. */
const COMPRESSORS = {
  GZIP: (input: Uint8Array, length: number) => gunzipSync(input, { maxOutputLength: length + 1 }),
  ZSTD: (input: Uint8Array, length: number) => zstdDecompressSync(input, { maxOutputLength: length + 1 }),
  BROTLI: (input: Uint8Array, length: number) => brotliDecompressSync(input, { maxOutputLength: length + 1 }),
};

/** A group of rows, column by column. */
export interface RowGroup {
  readonly count: number;
  readonly columns: ReadonlyMap<string, PagedColumn>;
  /** Columns that hold one value all through the group. */
  readonly constants: ReadonlyMap<string, unknown>;
}

/** Returns the columns of a group whose statistics say that all values are one: they need not be decoded. */
function constantsOf({ columns }: FileMetaData["row_groups"][number], names: readonly string[]): ReadonlyMap<string, unknown> {
  const constants = new Map<string, unknown>();
  for (const { meta_data: data } of columns) {
    const name = data?.path_in_schema.join(".") ?? "";
    const { min_value, max_value, null_count, is_min_value_exact, is_max_value_exact } = data?.statistics ?? {};
    const isExact = is_min_value_exact !== false && is_max_value_exact !== false;
    const isSimple = typeof min_value === "string" || typeof min_value === "number" || typeof min_value === "bigint";
    if (names.includes(name) && isSimple && isExact && min_value === max_value && Number(null_count ?? 1) === 0)
      constants.set(name, min_value);
  }
  return constants;
}

/** What the library reads from. */
interface Bytes {
  readonly byteLength: number;
  slice(start: number, end?: number): ArrayBuffer;
}

/** A Parquet file: its columns, and its rows group by group. */
export class ParquetFile {
  readonly columns: readonly string[];
  readonly rows: number;
  readonly #file: Bytes;
  readonly #metadata: FileMetaData;
  readonly #descriptor: number;

  private constructor(descriptor: number, file: Bytes, metadata: FileMetaData, columns: readonly string[]) {
    this.#descriptor = descriptor;
    this.#file = file;
    this.#metadata = metadata;
    this.columns = columns;
    this.rows = Number(metadata.num_rows);
  }

  /** Opens a file. Throws a CaptureError where its end, which tells what is in it, cannot be read. */
  static async open(path: string): Promise<ParquetFile> {
    const { parquetMetadataAsync, parquetSchema } = await import("hyparquet");
    let descriptor: number;
    try {
      descriptor = openSync(path, "r");
    } catch (error) {
      throw new CaptureError("unreadable", `${path}: ${systemReason(error)}`);
    }
    const byteLength = fstatSync(descriptor).size;
    const file = {
      byteLength,
      slice(start: number, end: number = byteLength): ArrayBuffer {
        const from = Math.max(0, Math.min(start, byteLength));
        const bytes = new Uint8Array(Math.max(0, Math.min(end, byteLength) - from));
        readSync(descriptor, bytes, 0, bytes.length, from);
        return bytes.buffer;
      },
    };
    try {
      const metadata = await parquetMetadataAsync(file);
      const columns = parquetSchema(metadata).children.map(({ element }) => element.name as unknown);
      if (!columns.every((name) => typeof name === "string")) throw new Error("a column has no name");
      return new ParquetFile(descriptor, file, metadata, columns);
    } catch (error) {
      closeSync(descriptor);
      throw new CaptureError("unreadable", `${path}: damaged Parquet: ${oneLine(error)}`);
    }
  }

  /**
   * Gives the wanted columns of each group of rows, by name. Throws a CaptureError where a group cannot be read. Columns and not rows:
   * a million objects took as long as all the rest.
   */
  async *groups(path: string, wanted: (column: string) => boolean): AsyncGenerator<RowGroup> {
    const { parquetRead, parquetSchema } = await import("hyparquet");
    const { flatDecoder, PagedColumn, readFlatColumn } = await import("./parquetColumn.ts");
    const schema = parquetSchema(this.#metadata);
    const names = this.columns.filter(wanted);
    let rowStart = 0;
    for (const group of this.#metadata.row_groups) {
      const { num_rows } = group;
      const count = Number(num_rows);
      if (!(count >= 0 && count <= Math.max(LEAST_ROWS_ALLOWED, this.#file.byteLength)))
        throw new CaptureError(
          "unreadable",
          `${path}: damaged Parquet: a group of ${count} rows in a file of ${this.#file.byteLength} bytes`,
        );
      const columns = new Map<string, PagedColumn>();
      let constants: ReadonlyMap<string, unknown>;
      try {
        constants = constantsOf(group, names);
        const range = { rowStart, rowEnd: rowStart + count };
        for (const name of names) {
          if (constants.has(name)) continue;
          const data = group.columns.find(({ meta_data }) => meta_data?.path_in_schema.join(".") === name)?.meta_data;
          const decoder = data && flatDecoder(schema, data, COMPRESSORS);
          let column = new PagedColumn();
          const onChunk = ({ columnData }: { columnData: ArrayLike<unknown> }) => column.add(columnData);
          if (decoder !== undefined) column = readFlatColumn(this.#chunk(data!), decoder, count);
          // One by one: where one of several is damaged, the library leaves what it began of the others to nobody.
          else
            await parquetRead({ file: this.#file, metadata: this.#metadata, columns: [name], ...range, compressors: COMPRESSORS, onChunk });
          if (column.length !== count) throw new Error(`column ${name} has ${column.length} rows of ${count}`);
          columns.set(name, column);
        }
      } catch (error) {
        throw new CaptureError("unreadable", `${path}: damaged Parquet after row ${rowStart}: ${oneLine(error)}`);
      }
      yield { count, columns, constants };
      rowStart += count;
    }
  }

  #chunk({ dictionary_page_offset, data_page_offset, total_compressed_size }: ColumnMetaData): ArrayBuffer {
    const start = Number(dictionary_page_offset || data_page_offset);
    return this.#file.slice(start, start + Number(total_compressed_size));
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0].slice(0, 200);
}
