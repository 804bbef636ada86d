import { LiveError } from "./liveError.ts";

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/**
 * Returns the items of a JSON array one after the other as their bytes arrive: an answer of a gigabyte never stands in memory at
 * once. Throws a LiveError where the text is no array, ends within it, or an item is longer than `mostItemBytes`. What stands
 * between brackets and commas is checked by JSON.parse, item by item. `who` begins the messages.
 */
export async function* jsonItems(chunks: AsyncIterable<Buffer>, who: string, mostItemBytes: number): AsyncGenerator<unknown, void> {
  let state: "before" | "first" | "item" | "after" = "before";
  let depth = 0;
  let inText = false;
  let isEscaped = false;
  let parts: Buffer[] = [];
  let held = 0;
  let number = 0;
  const hold = (bytes: Buffer): void => {
    held += bytes.length;
    if (held > mostItemBytes)
      throw new LiveError("wrong-service", `${who}: item ${number + 1} of its answer is longer than ${Math.round(mostItemBytes / 1e6)} MB`);
  };
  const finish = (last: Buffer): unknown => {
    hold(last);
    const text = parts.length === 0 ? last.toString("utf8") : Buffer.concat([...parts, last]).toString("utf8");
    parts = [];
    held = 0;
    number++;
    try {
      return JSON.parse(text);
    } catch {
      throw new LiveError("wrong-service", `${who}: item ${number} of its answer is not JSON`);
    }
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      if (state === "before" || state === "after") {
        if (isSpace(byte)) continue;
        if (state === "after") throw new LiveError("wrong-service", `${who}: there is more after the end of its answer`);
        if (byte !== OPEN_LIST)
          throw new LiveError(
            "wrong-service",
            `${who} answers with ${lookOf(chunk.toString("latin1", at, at + 1))} where a JSON list belongs`,
          );
        state = "first";
        start = at + 1;
        continue;
      }
      if (state === "first") {
        if (isSpace(byte)) continue;
        if (byte === CLOSE_LIST) {
          state = "after";
          continue;
        }
        state = "item";
        start = at;
      }
      if (inText) {
        if (isEscaped) isEscaped = false;
        else if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) inText = false;
      } else if (byte === QUOTE) inText = true;
      else if (byte === OPEN_OBJECT || byte === OPEN_LIST) depth++;
      else if (depth > 0 && (byte === CLOSE_OBJECT || byte === CLOSE_LIST)) depth--;
      else if (depth === 0 && (byte === COMMA || byte === CLOSE_LIST)) {
        yield finish(chunk.subarray(start, at));
        start = at + 1;
        if (byte === CLOSE_LIST) state = "after";
      }
    }
    if (state !== "item") continue;
    hold(chunk.subarray(start));
    // The chunk's memory is used again by the stream.
    parts.push(Buffer.from(chunk.subarray(start)));
  }
  if (state !== "after")
    throw new LiveError("reset", `${who}: its answer ends ${state === "before" ? "before it begins" : `within item ${number + 1}`}`);
}

/** Says what a text looks like. None of it is quoted: a stranger may send back what it was sent, the token with it. */
export function lookOf(text: string): string {
  const start = text.trimStart().charAt(0);
  if (start === "") return "nothing";
  if (start === "<") return "a web page";
  return start === "{" ? "a JSON object" : "other text";
}
