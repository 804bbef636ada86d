import { once } from "node:events";
import { createWriteStream } from "node:fs";
import type { Writable } from "node:stream";
import pc from "picocolors";
import { systemReason } from "../capture/byteSource.ts";
import { narrowed, PLAIN_STYLE, type Style } from "../report/text.ts";
import { UsageError } from "./errors.ts";

/** A text in pieces: a report of a million rows is never one string. Bytes are valid only until the next piece is asked for. */
export type Pieces = Iterable<string | Uint8Array>;

/** Writes pieces of text one after the other, waiting where the reader is slow. */
export async function writePieces(stream: Writable, pieces: Pieces): Promise<void> {
  for (const piece of pieces) {
    if (typeof piece !== "string") await writeWhole(stream, piece);
    else if (!stream.write(piece)) await once(stream, "drain");
  }
}

/** Writes bytes and waits until they are out, so that their memory can hold the next piece: fresh memory cost more than copying to it. */
function writeWhole(stream: Writable, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once("error", reject);
    stream.write(bytes, (error) => {
      // What failed is told by the event, as to all that wait for this stream.
      if (error) return;
      stream.off("error", reject);
      resolve();
    });
  });
}

/** Writes pieces of text to a file, replacing what it held. `flag` is where the user named it. */
export async function writeFilePieces(path: string, pieces: Pieces, flag = "--report"): Promise<void> {
  try {
    const stream = createWriteStream(path);
    await once(stream, "open");
    await writePieces(stream, pieces);
    stream.end();
    await once(stream, "close");
  } catch (error) {
    throw new UsageError(`${flag}: ${path}: ${systemReason(error)}`);
  }
}

/** Folds lines of a table that the terminal is too narrow for. What scripts read, in a pipe or a file, stays as it is. */
export function* forTerminal(pieces: Pieces): Generator<string | Uint8Array> {
  const { isTTY, columns } = process.stdout;
  for (const piece of pieces) yield isTTY && columns > 0 && typeof piece === "string" ? narrowed(piece, columns) : piece;
}

export const COLOR_MODES = ["auto", "always", "never"] as const;
export type ColorMode = (typeof COLOR_MODES)[number];

let colorMode: ColorMode = "auto";

/** Says for the rest of the run whether tables are coloured. */
export function chooseColor(mode: ColorMode): void {
  colorMode = mode;
}

/** Colours where --color asks for them, else where standard output is a terminal that wants them (no-color.org; TERM=dumb). */
export function terminalStyle(): Style {
  const { NO_COLOR, TERM } = process.env;
  const isWanted = colorMode === "auto" ? process.stdout.isTTY && !NO_COLOR && TERM !== "dumb" : colorMode === "always";
  if (!isWanted) return PLAIN_STYLE;
  // Whatever picocolors itself makes of environment and arguments is decided here.
  const { bold, red, green, dim } = pc.createColors(true);
  return { bold, bad: (text) => bold(red(text)), good: green, dim };
}
