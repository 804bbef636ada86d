import {
  boolYaml11Tag,
  constructFromEvents,
  defineScalarTag,
  EVENT_ID,
  type Event,
  FAILSAFE_SCHEMA,
  getScalarValue,
  mergeTag,
  NOT_RESOLVED,
  nullYaml11Tag,
  parseEvents,
  SCALAR_STYLE,
  type ScalarEvent,
  YAMLException,
} from "js-yaml";
import { type Fail, MAX_DEPTH, type Place, type TextDocument } from "./place.ts";

/** How many nodes aliases may stand for in one text: a few lines can otherwise expand to billions ("billion laughs"). */
const MAX_ALIASED_NODES = 1_000_000;

/** The length that long texts are cut to, at documents or list items: parser events take 10 to 16 times as much memory as their text. */
const SEGMENT_LENGTH = 1 << 18;

/**
 * Parser events of texts up to this length are kept until places are asked for, of so much text in all: others are parsed again, which
 * saves memory.
 */
const KEPT_LENGTH = 1 << 17;
const KEPT_IN_ALL = 1 << 21;
let keptInAll = 0;

const INTEGER = /^[-+]?(?:0[bB][01]+|0[oO]?[0-7]+|0[xX][0-9a-fA-F]+|0|[1-9]\d*)$/;
const FLOAT = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/;
const NUMBER_STARTS = [..."0123456789+-"];

/**
 * Scalars as sigs.k8s.io/yaml reads them (goyaml.v2 resolve.go): YAML 1.1 booleans, `010` octal, underscores in numbers,
 * but no sexagesimal numbers (`22:30` is a string there, an integer in YAML 1.1), and timestamps stay strings.
 */
const integerTag = defineScalarTag<number>("tag:yaml.org,2002:int", {
  implicit: true,
  implicitFirstChars: NUMBER_STARTS,
  resolve(source) {
    const plain = source.replaceAll("_", "");
    if (!INTEGER.test(plain)) return NOT_RESOLVED;
    const sign = plain.startsWith("-") ? -1 : 1;
    const digits = plain.replace(/^[-+]/, "");
    return sign * Number(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits);
  },
  identify: () => false,
});
const floatTag = defineScalarTag<number>("tag:yaml.org,2002:float", {
  implicit: true,
  implicitFirstChars: [...NUMBER_STARTS, "."],
  resolve(source) {
    const plain = source.replaceAll("_", "");
    if (FLOAT.test(plain)) return Number(plain);
    if (/^[-+]?\.(?:inf|Inf|INF)$/.test(source)) return source.startsWith("-") ? -Infinity : Infinity;
    return /^\.(?:nan|NaN|NAN)$/.test(source) ? NaN : NOT_RESOLVED;
  },
  identify: () => false,
});
const timestampTag = defineScalarTag<string>("tag:yaml.org,2002:timestamp", { resolve: (source) => source, identify: () => false });
/** Numbers as they are read: a writer has to quote texts that look like one. */
export const NUMBER_TAGS = [integerTag, floatTag] as const;
const SCHEMA = FAILSAFE_SCHEMA.withTags(nullYaml11Tag, boolYaml11Tag, integerTag, floatTag, timestampTag, mergeTag);

/** A stretch of the text that can be read by itself. `offsetOf` leads from an offset in it to one in the whole text. */
interface Segment {
  readonly text: string;
  readonly offsetOf: (offset: number) => number;
}

interface Budget {
  aliasedNodes: number;
}

/** Returns the documents of a YAML text, those without any content left out. Faults go to `fail`. */
export function readYamlDocuments(text: string, fail: Fail, segmentLength: number = SEGMENT_LENGTH): TextDocument[] {
  const budget: Budget = { aliasedNodes: MAX_ALIASED_NODES };
  const documents: TextDocument[] = [];
  for (const { start, end } of documentRuns(text, segmentLength)) {
    const segment: Segment = { text: text.slice(start, end), offsetOf: (offset) => start + offset };
    const list = segment.text.length > segmentLength ? readLongList(segment, segmentLength, budget) : undefined;
    for (const document of list ?? readSegment(segment, budget, fail)) {
      if (document.value !== null && document.value !== undefined) documents.push(document);
    }
  }
  return documents;
}

/**
 * Returns the bounds of runs of whole documents, cut where they grow past `segmentLength`. A line that starts with `---`
 * separates documents wherever it stands, in a scalar too (YAML 1.2, 9.1.2), and anchors end with their document.
 */
function documentRuns(text: string, segmentLength: number): { start: number; end: number }[] {
  // A directive (%TAG) stands before its document's marker: such a text, rare for Kubernetes objects, stays whole.
  if (text.length <= segmentLength || /(?:^|[\r\n])%/.test(text)) return [{ start: 0, end: text.length }];
  const runs: { start: number; end: number }[] = [];
  let start = 0;
  let previous = 0;
  for (const match of text.matchAll(/[\r\n]---(?=[ \t\r\n]|$)/g)) {
    const boundary = match.index + 1;
    if (boundary - start > segmentLength && previous > start) {
      runs.push({ start, end: previous });
      start = previous;
    }
    if (boundary - start > segmentLength) {
      runs.push({ start, end: boundary });
      start = boundary;
    }
    previous = boundary;
  }
  if (text.length - start > segmentLength && previous > start) {
    runs.push({ start, end: previous });
    start = previous;
  }
  runs.push({ start, end: text.length });
  return runs;
}

function readSegment(segment: Segment, budget: Budget, fail: Fail): TextDocument[] {
  let events: Event[];
  let values: unknown[];
  try {
    events = parseEvents(segment.text, { maxDepth: MAX_DEPTH });
    chargeAliases(events, segment.text, budget);
    values = constructFromEvents(events, { source: segment.text, schema: SCHEMA, maxTotalMergeKeys: MAX_ALIASED_NODES });
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const offset = error.mark?.position ?? 0;
    return fail(messageOf(error, segment.text, offset), segment.offsetOf(offset));
  }
  const kept = segment.text.length <= KEPT_LENGTH && keptInAll + segment.text.length <= KEPT_IN_ALL ? events : undefined;
  if (kept !== undefined) keptInAll += segment.text.length;
  let places: ((index: number) => Place) | undefined;
  return values.map((value, index) => ({
    value,
    place: () => {
      places ??= placesOf(segment, kept ?? parseEvents(segment.text, { maxDepth: MAX_DEPTH }));
      return places(index);
    },
  }));
}

function messageOf(error: YAMLException, text: string, offset: number): string {
  if (error.reason === "duplicated mapping key") {
    const key = /["']?([^\s"':]*)/y;
    key.lastIndex = offset;
    return `duplicate key \`${key.exec(text)?.[1] ?? ""}\``;
  }
  if (error.reason.startsWith("nesting exceeded")) return `nested deeper than ${MAX_DEPTH} levels`;
  return error.reason.startsWith("aliases ") ? error.reason : `not valid YAML: ${error.reason.replace(/\s+/g, " ")}`;
}

/** Counts what aliases stand for, and refuses too much of it, aliases of themselves and too deep nesting through aliases. */
function chargeAliases(events: readonly Event[], text: string, budget: Budget): void {
  if (!events.some((event) => event.type === EVENT_ID.ALIAS)) return;
  interface Open {
    nodes: number;
    height: number;
    readonly anchor: string | undefined;
  }
  const open: Open[] = [];
  let anchors = new Map<string, { nodes: number; height: number } | "open">();
  const refuse = (message: string, offset: number): never => YAMLException.throwAt(text, offset, message);
  const close = (nodes: number, height: number) => {
    const parent = open.at(-1);
    if (!parent) return;
    parent.nodes += nodes;
    parent.height = Math.max(parent.height, height + 1);
  };
  for (const event of events) {
    if (event.type === EVENT_ID.DOCUMENT) {
      anchors = new Map();
      open.push({ nodes: 0, height: 0, anchor: undefined });
    } else if (event.type === EVENT_ID.ALIAS) {
      const name = text.slice(event.anchorStart, event.anchorEnd);
      const target = anchors.get(name);
      if (target === undefined) continue; // js-yaml refuses it with the better message
      if (target === "open") throw refuse(`aliases must not contain themselves: \`*${name}\``, event.anchorStart - 1);
      budget.aliasedNodes -= target.nodes;
      if (budget.aliasedNodes < 0) throw refuse(`aliases stand for more than ${MAX_ALIASED_NODES} nodes`, event.anchorStart - 1);
      if (open.length + target.height > MAX_DEPTH) throw refuse(`aliases nest deeper than ${MAX_DEPTH} levels`, event.anchorStart - 1);
      close(target.nodes, target.height);
    } else if (event.type === EVENT_ID.POP) {
      const done = open.pop() as Open;
      if (done.anchor !== undefined) anchors.set(done.anchor, { nodes: done.nodes, height: done.height });
      close(done.nodes, done.height);
    } else {
      const anchor = event.anchorStart < 0 ? undefined : text.slice(event.anchorStart, event.anchorEnd);
      if (event.type === EVENT_ID.SCALAR) {
        if (anchor !== undefined) anchors.set(anchor, { nodes: 1, height: 0 });
        close(1, 0);
      } else {
        if (anchor !== undefined) anchors.set(anchor, "open");
        open.push({ nodes: 1, height: 0, anchor });
      }
    }
  }
}

/** Returns a function from a document's number to its place, for a segment that has been read without fault. */
function placesOf(segment: Segment, events: readonly Event[]): (index: number) => Place {
  const nodes = new NodeEvents(segment, events);
  const roots: number[] = [];
  // A DOCUMENT, its node, its POP.
  for (let next = 0; next < events.length; next = nodes.after(next + 1) + 1) roots.push(next + 1);
  return (index) => new YamlPlace(nodes, roots[index], nodes.offsetOf(roots[index]));
}

/** The nodes of a segment by the number of the event that each begins with. */
class NodeEvents {
  readonly #segment: Segment;
  readonly #events: readonly Event[];
  #anchors: ReadonlyMap<string, readonly number[]> | undefined;
  #asked = { node: -1, offset: 0 };
  readonly #entries = new Map<number, ReadonlyMap<string, YamlPlace>>();
  readonly #items = new Map<number, readonly YamlPlace[]>();

  constructor(segment: Segment, events: readonly Event[]) {
    this.#segment = segment;
    this.#events = events;
  }

  at(node: number): Event {
    return this.#events[node];
  }

  /** Returns the number of the event behind a node. */
  after(node: number): number {
    const events = this.#events;
    let next = node;
    let depth = 0;
    do {
      const { type } = events[next++];
      if (type === EVENT_ID.POP) depth--;
      else if (type === EVENT_ID.MAPPING || type === EVENT_ID.SEQUENCE) depth++;
    } while (depth > 0);
    return next;
  }

  /** Returns where a node stands in the whole text; one that is not written, as the value of `key:`, where the one before it does. */
  offsetOf(node: number): number {
    let offset: number | undefined;
    let i = node;
    // Of many in a row that are not written each asks for the one before it, which was asked for just before.
    for (; i >= 0 && offset === undefined; i--) offset = i === this.#asked.node ? this.#asked.offset : writtenAt(this.#events[i]);
    this.#asked = { node, offset: offset ?? 0 };
    return this.#segment.offsetOf(this.#asked.offset);
  }

  /** Returns the node that an alias stands for: of that name the last before it; any other node is itself. */
  meantBy(node: number): number {
    const alias = this.#events[node];
    if (alias.type !== EVENT_ID.ALIAS) return node;
    this.#anchors ??= this.#readAnchors();
    const named = this.#anchors.get(this.#textOf(alias)) ?? [];
    let [low, high] = [0, named.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (named[middle] < node) low = middle;
      else high = middle - 1;
    }
    return named[low];
  }

  /** Nodes by the names of their anchors, in the order of the text. */
  #readAnchors(): Map<string, number[]> {
    const anchors = new Map<string, number[]>();
    this.#events.forEach((event, node) => {
      if (event.type === EVENT_ID.POP || event.type === EVENT_ID.DOCUMENT || event.type === EVENT_ID.ALIAS || event.anchorStart < 0) return;
      const name = this.#textOf(event);
      const named = anchors.get(name);
      if (named === undefined) anchors.set(name, [node]);
      else named.push(node);
    });
    return anchors;
  }

  /** Returns the entries of a mapping, none of any other node. */
  entriesOf(node: number): ReadonlyMap<string, YamlPlace> {
    const mapping = this.meantBy(node);
    let entries = this.#entries.get(mapping);
    if (entries === undefined) this.#entries.set(mapping, (entries = this.#readEntries(mapping)));
    return entries;
  }

  /** Returns the items of a sequence, none of any other node. */
  itemsOf(node: number): readonly YamlPlace[] {
    const list = this.meantBy(node);
    let items = this.#items.get(list);
    if (items === undefined) this.#items.set(list, (items = this.#readItems(list)));
    return items;
  }

  #readItems(list: number): YamlPlace[] {
    const items: YamlPlace[] = [];
    if (this.at(list).type !== EVENT_ID.SEQUENCE) return items;
    for (let item = list + 1; this.at(item).type !== EVENT_ID.POP; item = this.after(item))
      items.push(new YamlPlace(this, item, this.offsetOf(item)));
    return items;
  }

  /** An entry is at its key. What `<<` brings in comes after the mapping's own, the first mapping first. */
  #readEntries(mapping: number): Map<string, YamlPlace> {
    const entries = new Map<string, YamlPlace>();
    const merged: number[] = [];
    if (this.at(mapping).type !== EVENT_ID.MAPPING) return entries;
    for (let key = mapping + 1; this.at(key).type !== EVENT_ID.POP; ) {
      const value = this.after(key);
      const event = this.at(key);
      if (event.type === EVENT_ID.SCALAR) {
        const name = this.keyText(event);
        if (name === "<<" && event.style === SCALAR_STYLE.PLAIN) for (const each of this.#mergedBy(value)) merged.push(each);
        else entries.set(name, new YamlPlace(this, value, this.offsetOf(key)));
      }
      key = this.after(value);
    }
    for (const other of merged) for (const [name, found] of this.entriesOf(other)) if (!entries.has(name)) entries.set(name, found);
    return entries;
  }

  /** Returns the mappings that the value of `<<` names: itself, or those in a list. */
  #mergedBy(value: number): number[] {
    const list = this.meantBy(value);
    if (this.at(list).type !== EVENT_ID.SEQUENCE) return [list];
    const mappings: number[] = [];
    for (let item = list + 1; this.at(item).type !== EVENT_ID.POP; item = this.after(item)) mappings.push(item);
    return mappings;
  }

  /** Returns a key as js-yaml makes it a property's name: `yes` becomes `true`. */
  keyText(event: ScalarEvent): string {
    const source = getScalarValue(this.#segment.text, event);
    if (event.style !== SCALAR_STYLE.PLAIN || event.tagStart >= 0) return source;
    return String(SCHEMA.resolveImplicitScalarTag(source).value);
  }

  #textOf({ anchorStart, anchorEnd }: { readonly anchorStart: number; readonly anchorEnd: number }): string {
    return this.#segment.text.slice(anchorStart, anchorEnd);
  }
}

/** Returns where in the text of its segment a node begins; undefined for one that is not written, and for what is no node. */
function writtenAt(event: Event): number | undefined {
  if (event.type === EVENT_ID.ALIAS) return event.anchorStart - 1;
  if (event.type === EVENT_ID.SCALAR) return event.valueStart < 0 ? undefined : event.valueStart - (isQuoted(event) ? 1 : 0);
  return event.type === EVENT_ID.MAPPING || event.type === EVENT_ID.SEQUENCE ? event.start : undefined;
}

/** The place of a node. What is in it is looked up when it is asked for: of most objects only their own place is. */
class YamlPlace implements Place {
  readonly at: number;
  readonly #nodes: NodeEvents;
  readonly #node: number;

  constructor(nodes: NodeEvents, node: number, at: number) {
    this.#nodes = nodes;
    this.#node = node;
    this.at = at;
  }

  entry(key: string): YamlPlace | undefined {
    return this.#nodes.entriesOf(this.#node).get(key);
  }

  item(index: number): YamlPlace | undefined {
    return this.#nodes.itemsOf(this.#node)[index];
  }
}

function isQuoted(event: ScalarEvent): boolean {
  return event.style === SCALAR_STYLE.SINGLE_QUOTED || event.style === SCALAR_STYLE.DOUBLE_QUOTED;
}

/**
 * Returns the one document of a segment that is a long `items:` list as kubectl prints it, read in stretches of whole
 * items; undefined where its lines do not show that clearly or anything is wrong, so that it is then read at once.
 */
function readLongList(segment: Segment, segmentLength: number, budget: Budget): TextDocument[] | undefined {
  const bounds = findItems(segment.text);
  if (!bounds) return undefined;
  const { starts, end } = bounds;
  const first = starts[0];
  const giveUp = (): never => {
    throw new NotALongList();
  };
  const spare = { ...budget };
  try {
    const around: Segment = {
      text: segment.text.slice(0, first) + segment.text.slice(end),
      offsetOf: (offset) => segment.offsetOf(offset < first ? offset : offset + end - first),
    };
    const heads = readSegment(around, spare, giveUp);
    const head = heads[0]?.value as Record<string, unknown> | null | undefined;
    if (heads.length !== 1 || typeof head !== "object" || head === null || head.items !== null) return undefined;
    const items: unknown[] = [];
    const stretches: { firstIndex: number; place: () => Place }[] = [];
    for (let index = 0; index < starts.length; ) {
      const from = starts[index];
      while (index < starts.length && starts[index] - from < segmentLength) index++;
      const part: Segment = {
        text: segment.text.slice(from, index < starts.length ? starts[index] : end),
        offsetOf: (offset) => segment.offsetOf(from + offset),
      };
      const read = readSegment(part, spare, giveUp);
      if (read.length !== 1 || !Array.isArray(read[0].value)) return undefined;
      stretches.push({ firstIndex: items.length, place: read[0].place });
      for (const item of read[0].value) items.push(item);
    }
    head.items = items;
    budget.aliasedNodes = spare.aliasedNodes;
    return [{ value: head, place: () => longListPlace(heads[0].place(), stretches) }];
  } catch (error) {
    if (error instanceof NotALongList) return undefined;
    throw error;
  }
}

class NotALongList extends Error {}

function longListPlace(head: Place, stretches: readonly { firstIndex: number; place: () => Place }[]): Place {
  const list = head.entry("items");
  const items: Place = {
    at: list?.at ?? head.at,
    entry: () => undefined,
    item: (index) => {
      const stretch = stretches.findLast(({ firstIndex }) => firstIndex <= index);
      return stretch?.place().item(index - stretch.firstIndex);
    },
  };
  return { at: head.at, entry: (key) => (key === "items" ? items : head.entry(key)), item: () => undefined };
}

/**
 * Returns where the lines of the items below a top-level `items:` start, and where the list ends. An item's own lines are
 * indented deeper than its dash, in scalars too (YAML 1.2, 8.2.1), so the dash at that column always opens an item.
 */
function findItems(text: string): { starts: number[]; end: number } | undefined {
  const header = /(?:^|\n)items:[ \t]*(?:#[^\n]*)?\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*( *)-[ \r\n]/.exec(text);
  if (!header) return undefined;
  const indent = header[1].length;
  const starts: number[] = [];
  let line = header.index + header[0].length - 2 - indent;
  while (line < text.length) {
    let column = 0;
    while (column < indent && text.charCodeAt(line + column) === 0x20) column++;
    const code = text.charCodeAt(line + column);
    const isBlank = Number.isNaN(code) || code === 0x0a || code === 0x0d || code === 0x23;
    if (column === indent && code === 0x2d && /[ \r\n]/.test(text[line + column + 1] ?? "\n")) starts.push(line);
    else if (!isBlank && (column < indent || code !== 0x20)) return { starts, end: line };
    const lineBreak = text.indexOf("\n", line);
    line = lineBreak < 0 ? text.length : lineBreak + 1;
  }
  return { starts, end: text.length };
}
