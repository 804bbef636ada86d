import type { LogSink } from "./logSink.ts";

/*
 * The small interface behind which every flow-log format is one file: how it is recognised, and how its records become connections.
 */

/** A record that cannot be used. The message begins with the reason (it is counted by that) and may go on after a backquote. */
export class BadRecord extends Error {}

/** The beginning of a log, for formats to recognise themselves in. */
export interface LogHead {
  /** The first whole lines that are not empty, without their ends; of a JSON document of another layout the same cut at line ends. */
  readonly lines: readonly string[];
  /** The first records that are JSON objects, whatever the layout: one a line, pretty-printed, items of an array or of a wrapping object. */
  readonly objects: readonly Readonly<Record<string, unknown>>[];
  /** Whether each line is an object by itself: then a bad one costs no other. */
  readonly isLineByLine: boolean;
  /** Names of the columns, of Parquet files only. */
  readonly columns: readonly string[] | undefined;
}

/** Reads the records of one log. */
export interface LogReader {
  /** Reads one record: a line, a JSON object or the columns of a row, by the format's `unit`. Throws BadRecord. */
  read(record: never): void;
  /** Called after the last record. */
  finish?(): void;
  /** Parses one line where that is faster than JSON.parse; undefined: as JSON.parse does. */
  parse?(line: string): Readonly<Record<string, unknown>> | undefined;
}

/** What a format is told of the file and of the flags. */
export interface LogContext {
  readonly sink: LogSink;
  readonly head: LogHead;
  /** `--flow-fields`: the order of the fields, where the log itself does not tell. */
  readonly fields: readonly string[] | undefined;
}

interface FormatBase {
  /** As in `--flow-format` and in reports. */
  readonly name: string;
  /** What people call it. */
  readonly title: string;
  /** Reports whether a log is of this format. No two formats may say so of one log. */
  recognizes(head: LogHead): boolean;
}

/** A format of lines. */
export interface LineFormat extends FormatBase {
  readonly unit: "line";
  open(context: LogContext): { read(line: string): void; finish?(): void };
}

/** A format of JSON objects, one a line or in whatever layout. */
export interface ObjectFormat extends FormatBase {
  readonly unit: "object";
  /** Columns that are read of Parquet files; all without it. */
  readonly columns?: readonly string[];
  open(context: LogContext): {
    read(object: Readonly<Record<string, unknown>>): void;
    finish?(): void;
    /** Parses one line where that is faster than JSON.parse; undefined: as JSON.parse does. */
    parse?(line: string): Readonly<Record<string, unknown>> | undefined;
  };
}

export type FlowLogFormat = LineFormat | ObjectFormat;
