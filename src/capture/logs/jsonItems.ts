const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Fields whose list holds the records of a document: `{"records": [...]}` (Azure), `items` (REST lists), `entries` (Cloud Logging). */
const WRAPPERS = new Set(["records", "Records", "items", "entries", "events", "logEvents", "flows", "results", "data"]);

/** Reports whether an object is a document whose records stand in a list of it. */
export function isWrapper(object: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(object).some(([key, value]) => WRAPPERS.has(key) && Array.isArray(value));
}

/** An item longer than any record has: it is counted and passed over, never held. */
export const MAX_ITEM_BYTES = 1 << 26;

/**
 * Takes the objects of a JSON text as its bytes arrive, in whatever layout: one after the other (a line each or pretty-printed), items
 * of a list, or of a list within one wrapping object. What is no object, and what stands between objects, is passed over: JSON.parse
 * checks each object by itself.
 */
export class JsonItems {
  /** Called with the text of each object; undefined: it was too long to hold. */
  readonly #take: (text: string | undefined) => void;
  #depth = 0;
  /** Depth of the objects to take: 0 top level, 1 in a list, 2 in a list of a wrapping object. */
  #level = 0;
  #inText = false;
  #isEscaped = false;
  #item: Buffer[] = [];
  #held = 0;
  #isTooLong = false;
  /** Place of the current text's beginning within the chunk; -1: it began in one before. */
  #textStart = -1;
  #text: Buffer[] = [];
  #lastKey = "";
  /** Bytes that were no part of an object, brackets and commas aside: a document that is none has many. */
  strays = 0;

  constructor(take: (text: string | undefined) => void) {
    this.#take = take;
  }

  /** Whether the bytes so far end within an object. */
  get isOpen(): boolean {
    return this.#depth > this.#level;
  }

  /** Whether the bytes so far end within a list of objects. */
  get isUnfinished(): boolean {
    return this.#depth > 0;
  }

  feed(chunk: Buffer): void {
    let start = this.isOpen ? 0 : -1;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      if (this.#inText) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (byte === BACKSLASH) this.#isEscaped = true;
        else if (byte === QUOTE) {
          this.#inText = false;
          if (this.#depth === 1 && this.#level === 0) this.#endKey(chunk, at);
        }
        continue;
      }
      switch (byte) {
        case QUOTE:
          this.#inText = true;
          this.#textStart = at + 1;
          this.#text = [];
          break;
        case OPEN_LIST:
          // A list at the top, or the known list of the object at the top: its items are what is looked for.
          if (this.#depth === 0) this.#level = 1;
          else if (this.#depth === 1 && this.#level === 0 && WRAPPERS.has(this.#lastKey)) {
            this.#level = 2;
            this.#drop();
            start = -1;
          }
          this.#depth++;
          break;
        case OPEN_OBJECT:
          if (this.#depth === this.#level) start = at;
          this.#depth++;
          break;
        case CLOSE_OBJECT:
        case CLOSE_LIST:
          if (this.#depth === 0) {
            this.strays++;
            break;
          }
          this.#depth--;
          if (byte === CLOSE_OBJECT && this.#depth === this.#level && (start >= 0 || this.#held > 0 || this.#isTooLong)) {
            this.#finish(chunk.subarray(Math.max(0, start), at + 1));
            start = -1;
          } else if (this.#depth < this.#level) this.#level = this.#depth === 0 ? 0 : this.#level;
          // What follows the wrapped list in its object is no item either.
          if (this.#depth === 0) this.#level = 0;
          break;
        default:
          if (this.#depth <= this.#level && byte > 0x20 && byte !== COMMA && byte !== COLON) this.strays++;
      }
    }
    if (this.#inText && this.#depth === 1 && this.#level === 0) this.#holdKey(chunk);
    this.#textStart = -1;
    if (this.isOpen) this.#hold(chunk.subarray(Math.max(0, start)));
  }

  #holdKey(chunk: Buffer): void {
    if (this.#text.length < 2)
      this.#text.push(Buffer.from(chunk.subarray(Math.max(0, this.#textStart), Math.max(0, this.#textStart) + 64)));
  }

  #endKey(chunk: Buffer, at: number): void {
    const last = chunk.subarray(Math.max(0, this.#textStart), at);
    this.#lastKey = last.length > 64 ? "" : Buffer.concat([...this.#text, last]).toString("utf8");
    this.#text = [];
  }

  #hold(bytes: Buffer): void {
    this.#held += bytes.length;
    if (this.#held > MAX_ITEM_BYTES) {
      this.#isTooLong = true;
      this.#item = [];
    } else if (!this.#isTooLong) this.#item.push(Buffer.from(bytes));
  }

  #drop(): void {
    this.#item = [];
    this.#held = 0;
    this.#isTooLong = false;
  }

  #finish(last: Buffer): void {
    const isTooLong = this.#isTooLong || this.#held + last.length > MAX_ITEM_BYTES;
    const text = isTooLong
      ? undefined
      : this.#item.length === 0
        ? last.toString("utf8")
        : Buffer.concat([...this.#item, last]).toString("utf8");
    this.#drop();
    this.#take(text);
  }
}
