import type { ColumnMetaData, Compressors, DecodedArray, PageHeader, SchemaTree } from "hyparquet";
import { parquetHeader, readPage } from "hyparquet/src/column.js";
import { convert, DEFAULT_PARSERS } from "hyparquet/src/convert.js";
import { decompressPage, readDataPage, readDataPageV2 } from "hyparquet/src/datapage.js";
import { getTreePath, isFlatColumn } from "hyparquet/src/schema.js";

type ColumnDecoder = Parameters<typeof readDataPageV2>[2];

/** Values of a column, in pages as they come: null where a row has none. */
export class PagedColumn {
  readonly #pages: ArrayLike<unknown>[] = [];
  #next = 0;
  #page: ArrayLike<unknown> = [];
  #start = 0;
  length = 0;

  add(page: ArrayLike<unknown>): void {
    this.#pages.push(page);
    this.length += page.length;
  }

  /** Returns the value of a row, which is none before the last one that was asked for. */
  at(row: number): unknown {
    while (row - this.#start >= this.#page.length && this.#next < this.#pages.length) {
      this.#start += this.#page.length;
      this.#page = this.#pages[this.#next++];
    }
    return this.#page[row - this.#start];
  }
}

/** Returns how the values of a column are decoded; undefined where a row may have several, or values of several parts. */
export function flatDecoder(schema: SchemaTree, data: ColumnMetaData, compressors: Compressors): ColumnDecoder | undefined {
  const schemaPath = getTreePath(schema, data.path_in_schema);
  if (!isFlatColumn(schemaPath)) return undefined;
  const { element } = schemaPath[1];
  return {
    pathInSchema: data.path_in_schema,
    type: data.type,
    codec: data.codec,
    element,
    schemaPath,
    compressors,
    parsers: DEFAULT_PARSERS,
  };
}

/**
 * Decodes the pages of a column of so many rows. The library's own way of putting them together is made for lists of lists and took as
 * long as all the rest. Throws where the chunk is damaged.
 */
export function readFlatColumn(chunk: ArrayBuffer, decoder: ColumnDecoder, rows: number): PagedColumn {
  const column = new PagedColumn();
  const reader = { view: new DataView(chunk), offset: 0 };
  let dictionary: ArrayLike<unknown> | undefined;
  while (column.length < rows && reader.offset < chunk.byteLength - 1) {
    const header = parquetHeader(reader);
    if (header.type === "DICTIONARY_PAGE") {
      const { data } = readPage(reader, header, decoder, undefined, undefined, 0);
      dictionary = numbered(convert(data ?? [], decoder));
    } else {
      const body = new Uint8Array(chunk, reader.offset, header.compressed_page_size);
      reader.offset += header.compressed_page_size;
      column.add(valuesOf(header, body, decoder, dictionary, rows - column.length));
    }
  }
  return column;
}

/** Decodes one page, of no more than so many rows. */
function valuesOf(
  header: PageHeader,
  body: Uint8Array,
  decoder: ColumnDecoder,
  dictionary: ArrayLike<unknown> | undefined,
  most: number,
): ArrayLike<unknown> {
  const { data_page_header: first, data_page_header_v2: second, uncompressed_page_size: length } = header;
  const page = first ?? second;
  if (page === undefined) throw new Error(`a page is of type ${header.type}`);
  // Before anything is made that long: a page of a few bytes can say that it holds any number of values.
  if (!(page.num_values >= 0 && page.num_values <= most))
    throw new Error(`a page of ${page.num_values} values where ${most} rows are left`);
  const { definitionLevels, dataPage } =
    first === undefined
      ? readDataPageV2(body, header, decoder)
      : readFirst(decompressPage(body, length, decoder.codec, decoder.compressors), first, decoder);
  const isCoded = page.encoding.endsWith("_DICTIONARY");
  const values = isCoded ? decoded(dataPage, dictionary ?? []) : numbered(convert(dataPage, decoder));
  return definitionLevels === undefined || definitionLevels.length === 0 ? values : spread(values, definitionLevels);
}

/** Decodes a page of the first version, in which levels come before the values of an optional column. */
function readFirst(page: Uint8Array, header: Parameters<typeof readDataPage>[1], decoder: ColumnDecoder): ReturnType<typeof readDataPage> {
  const [root, leaf] = decoder.schemaPath;
  const levels = leaf.element.repetition_type === "OPTIONAL" ? levelsOfAll(page, header.num_values) : 0;
  if (levels === 0) return readDataPage(page, header, decoder);
  const required = { ...leaf, element: { ...leaf.element, repetition_type: "REQUIRED" as const } };
  return readDataPage(page.subarray(levels), header, { ...decoder, schemaPath: [root, required] });
}

/**
 * Returns how many bytes of levels a page begins with where they say in one run that every row has a value, as they nearly always do; 0
 * where they say anything else (Apache Parquet format, "RLE/bit-packing hybrid": length of four bytes, then run length times two as
 * varint, then the value).
 */
function levelsOfAll(page: Uint8Array, values: number): number {
  const length = new DataView(page.buffer, page.byteOffset, page.byteLength).getUint32(0, true);
  let [run, at] = [0, 4];
  for (let shift = 0; shift <= 21; shift += 7) {
    run |= (page[at] & 0x7f) << shift;
    if (page[at++] < 0x80) break;
  }
  return run === values * 2 && page[at] === 1 && 4 + length === at + 1 ? at + 1 : 0;
}

function decoded(codes: DecodedArray, dictionary: ArrayLike<unknown>): ArrayLike<unknown> {
  const values = new Array<unknown>(codes.length);
  for (let i = 0; i < codes.length; i++) {
    values[i] = dictionary[codes[i]];
    // Taken for a value that is absent, a denial would be none.
    if (values[i] === undefined) throw new Error("a value that its dictionary does not have");
  }
  return values;
}

/** Puts the values where the rows are that have one: a page leaves the others out. */
function spread(values: ArrayLike<unknown>, levels: readonly number[]): ArrayLike<unknown> {
  const spread = new Array<unknown>(levels.length);
  for (let i = 0, at = 0; i < levels.length; i++) spread[i] = levels[i] === 1 ? values[at++] : null;
  return spread;
}

/** Integers of 64 bits as numbers, where all of them are exact so: each one taken out would be an object otherwise. */
function numbered(values: DecodedArray): ArrayLike<unknown> {
  if (!(values instanceof BigInt64Array || values instanceof BigUint64Array)) return values;
  const halves = new Uint32Array(values.buffer, values.byteOffset, values.length * 2);
  const numbers = new Float64Array(values.length);
  for (let i = 0; i < numbers.length; i++) {
    const high = halves[i * 2 + 1];
    if (high > 0x1fffff) return values;
    numbers[i] = high * 0x1_0000_0000 + halves[i * 2];
  }
  return numbers;
}
