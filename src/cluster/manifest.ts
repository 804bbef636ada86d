import { isUtf8 } from "node:buffer";
import { createReadStream, type Dirent, readdirSync, readFileSync, realpathSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { opensAsJson, readJsonDocuments } from "./jsonDocuments.ts";
import { ManifestError } from "./manifestError.ts";
import type { Fail, Place, TextDocument } from "./place.ts";
import { readYamlDocuments } from "./yamlDocuments.ts";

/** One Kubernetes object of a text. `value` always has a string `apiVersion` and `kind`. */
export interface ManifestObject {
  readonly value: Record<string, unknown>;
  readonly file: string;
  /**
   * Returns where a field is written, from 1: an entry of a mapping at its key, an item of a list at its first token, a
   * path that is not there at its deepest ancestor that is, the empty path at the object's first key.
   */
  positionOf(path: readonly (string | number)[]): { line: number; column: number };
  /** It came from a server and stands in no file: `file` says which server, and every position is 0. */
  readonly isServed?: true;
}

/** Returns an object that a server gave. `origin` names the server in messages: "the cluster". */
export function servedObject(value: Record<string, unknown>, origin: string): ManifestObject {
  return { value, file: origin, isServed: true, positionOf: () => ({ line: 0, column: 0 }) };
}

/** Returns what has a name, with where its object begins. The line is looked up when it is asked for: that costs, and few are ever shown. */
export function withPlace<T extends object>(object: ManifestObject, named: T): T & { readonly file?: string; readonly line?: number } {
  if (object.isServed) return named;
  return {
    ...named,
    file: object.file,
    get line() {
      return object.positionOf([]).line;
    },
  };
}

/** What was read from files, in the order of their names. */
export interface ManifestFiles {
  readonly objects: ManifestObject[];
  readonly files: { name: string; objects: number }[];
  readonly warnings: string[];
}

/** What texts hold that were read already: two versions of a folder have most files in common. */
export type KnownTexts = Map<string, readonly ManifestObject[]>;

const MAX_BYTES = 2 ** 30;
/** How deep lists of lists are unwrapped; kubectl makes none. */
const MAX_LIST_DEPTH = 8;
const MANIFEST_NAME = /\.(?:json|yaml|yml)$/;

/** Reports whether a file of this name is read where its folder is named. */
export function isManifestName(name: string): boolean {
  return MANIFEST_NAME.test(name);
}

/**
 * Returns the Kubernetes objects of a YAML or JSON text: of several documents in turn, with lists unwrapped. Scalars are
 * read as the API's own YAML reader does (YAML 1.1 booleans and octal numbers). Throws a ManifestError.
 */
export function readManifest(text: string, file: string): ManifestObject[] {
  const source = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  const positionAt = lineIndex(source);
  const failAs =
    (code: "syntax" | "not-an-object"): Fail =>
    (message, offset) => {
      const { line, column } = positionAt(offset);
      const isTemplate = code === "syntax" && source.includes("{{");
      throw new ManifestError(
        code,
        `${oneLine(message)}${isTemplate ? " (a template? render it first: `helm template`)" : ""}`,
        file,
        line,
        column,
      );
    };
  const refuse = failAs("syntax");
  const nul = source.indexOf("\0");
  if (nul >= 0) refuse(looksLikeUtf16(source) ? "UTF-16 text: save it as UTF-8" : "binary data, neither YAML nor JSON", nul);
  const objects: ManifestObject[] = [];
  const collect = (value: unknown, findPlace: () => Place, listDepth: number): void => {
    let found: Place | undefined;
    const place = () => {
      found ??= findPlace();
      return found;
    };
    const { apiVersion, kind } = checkObject(value, place, failAs("not-an-object"));
    const object = value as Record<string, unknown>;
    const isList = kind.endsWith("List") && (kind === "List" || Array.isArray(object.items) || object.items === null);
    if (!isList) {
      objects.push({ value: object, file, positionOf: (path) => positionAt(deepest(place(), path).at) });
      return;
    }
    if (listDepth >= MAX_LIST_DEPTH) failAs("not-an-object")(`lists nested deeper than ${MAX_LIST_DEPTH}`, place().at);
    if (object.items !== undefined && object.items !== null && !Array.isArray(object.items)) {
      failAs("not-an-object")(`\`items\` of a \`${kind}\` is no list`, deepest(place(), ["items"]).at);
    }
    const items = (object.items ?? []) as unknown[];
    // The API server leaves apiVersion and kind out of the items of a typed list.
    const defaults = kind === "List" ? {} : { apiVersion, kind: kind.slice(0, -"List".length) };
    items.forEach((item, index) => {
      const itemPlace = () => deepest(place(), ["items", index]);
      collect(isMapping(item) ? { ...defaults, ...item } : item, itemPlace, listDepth + 1);
    });
  };
  for (const { value, place } of readDocuments(source, refuse)) if (value !== null) collect(value, place, 0);
  return objects;
}

function readDocuments(text: string, fail: Fail): TextDocument[] {
  if (!opensAsJson(text)) return readYamlDocuments(text, fail);
  const read = readJsonDocuments(text, fail);
  if (Array.isArray(read)) return read;
  // `{` opens a YAML flow mapping too, and JSON documents may be separated by `---`.
  const { message, offset } = read.fault;
  const isMeantAsJson = /^\s*\{\s*["}]/.test(text) && !/[\r\n]---/.test(text);
  return readYamlDocuments(text, isMeantAsJson ? () => fail(`not valid JSON: ${message}`, offset) : fail);
}

/** Reports whether a value of a document has named fields. */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkObject(value: unknown, place: () => Place, fail: Fail): { apiVersion: string; kind: string } {
  if (!isMapping(value)) {
    const found = Array.isArray(value) ? "a list" : value === null ? "nothing" : `a ${typeof value}`;
    return fail(`not a Kubernetes object: expected a mapping with \`apiVersion\` and \`kind\`, found ${found}`, place().at);
  }
  const fields = { apiVersion: value.apiVersion, kind: value.kind };
  for (const [name, field] of Object.entries(fields)) {
    if (typeof field === "string" && field !== "") continue;
    const problem = field === undefined || field === null || field === "" ? `has no \`${name}\`` : `has a \`${name}\` that is no text`;
    fail(`not a Kubernetes object: it ${problem}`, deepest(place(), [name]).at);
  }
  return fields as { apiVersion: string; kind: string };
}

function deepest(place: Place, path: readonly (string | number)[]): Place {
  let found = place;
  for (const step of path) {
    const child = typeof step === "number" ? found.item(step) : found.entry(step);
    if (!child) break;
    found = child;
  }
  return found;
}

/** Returns a function from an offset to its line and column; the lines are looked for when it is first called. */
function lineIndex(text: string): (offset: number) => { line: number; column: number } {
  let starts: number[] | undefined;
  return (offset) => {
    if (!starts) {
      starts = [0];
      if (text.includes("\r")) for (const match of text.matchAll(/\r\n?|\n/g)) starts.push(match.index + match[0].length);
      else for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", end + 1)) starts.push(end + 1);
    }
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (starts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - starts[low] + 1 };
  };
}

/** Returns a message that stays one short line whatever the input quoted in it holds. */
function oneLine(message: string): string {
  const line = message.replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ");
  return line.length > 300 ? `${line.slice(0, 299)}…` : line;
}

/** Reports whether NULs stand at every second character, as ASCII in UTF-16 looks to a reader of bytes. */
function looksLikeUtf16(text: string): boolean {
  const sample = text.slice(0, 64);
  return [0, 1].some((odd) => sample.length > 1 && [...sample].every((character, index) => (character === "\0") === (index % 2 === odd)));
}

/**
 * Returns the objects of files, directories (their *.yaml, *.yml and *.json files, as `kubectl apply -f` takes them) and `-`,
 * the standard input. Gzip and Zstandard are recognised by content. `known` texts are not read again, and gain these. Throws a
 * ManifestError for whatever cannot be read.
 */
export async function readManifestFiles(
  paths: readonly string[],
  options: { recursive: boolean; stdin?: () => Promise<string>; known?: KnownTexts | undefined },
): Promise<ManifestFiles> {
  const result: ManifestFiles = { objects: [], files: [], warnings: [] };
  const seen = new Set<string>();
  for (const path of paths) {
    for (const name of path === "-" ? [path] : filesOf(path, options.recursive)) {
      const identity = name === "-" ? "-" : identityOf(name);
      if (seen.has(identity)) {
        if (name === "-") throw new ManifestError("unreadable", "the standard input can be read only once", "-");
        result.warnings.push(`\`${name}\` is named twice and was read once`);
        continue;
      }
      seen.add(identity);
      const shown = name === "-" ? "<stdin>" : name;
      const text = name === "-" ? await stdinText(options.stdin, shown) : textOf(await bytesOf(name), shown);
      const known = options.known?.get(text);
      const objects = known === undefined ? readManifest(text, shown) : known.map((object) => ({ ...object, file: shown }));
      if (known === undefined) options.known?.set(text, objects);
      for (const object of objects) result.objects.push(object);
      result.files.push({ name: shown, objects: objects.length });
      if (objects.length === 0) result.warnings.push(`\`${shown}\` holds no Kubernetes object`);
    }
  }
  return result;
}

async function stdinText(stdin: (() => Promise<string>) | undefined, shown: string): Promise<string> {
  return stdin ? await stdin() : textOf(await collectBytes(process.stdin, shown), shown);
}

function unreadable(file: string, error: unknown): ManifestError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOENT: "no such file or directory",
    EACCES: "permission denied",
    ELOOP: "a symbolic link that leads to itself",
    EISDIR: "a directory",
    ENOTDIR: "a part of its path is no directory",
  };
  return new ManifestError("unreadable", reasons[code ?? ""] ?? oneLine(message), file);
}

function identityOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function statOf(path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function filesOf(path: string, recursive: boolean): string[] {
  if (/^https?:\/\//.test(path)) throw new ManifestError("unreadable", "addresses are not fetched: save it as a file first", path);
  if (!statOf(path).isDirectory()) return [path];
  const files = directoryFiles(path, recursive);
  if (files.length === 0) throw new ManifestError("unreadable", `no .yaml, .yml or .json file in \`${path}\``, path);
  return files;
}

/**
 * Returns the manifests of a directory, sorted. Directories behind symbolic links are not entered (they may lead back),
 * nor are those that Kubernetes itself makes in volumes (`..data`, whose files are linked to from beside it).
 */
function directoryFiles(directory: string, recursive: boolean): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    throw unreadable(directory, error);
  }
  const files: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      if (recursive && !entry.name.startsWith("..")) for (const file of directoryFiles(path, recursive)) files.push(file);
    } else if (isManifestName(entry.name)) {
      if (!entry.isSymbolicLink() || !statOf(path).isDirectory()) files.push(path);
    }
  }
  return files;
}

/** Reads a file at once; a pipe as a stream. Waiting for each of a hundred small files cost more than reading them. */
async function bytesOf(path: string): Promise<Buffer> {
  const found = statOf(path);
  if (!found.isFile()) return await collectBytes(createReadStream(path, { highWaterMark: 1 << 20 }), path);
  if (found.size > MAX_BYTES) throw tooLarge(path);
  try {
    return readFileSync(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Returns all bytes of a stream, of a pipe as well as of a file; refuses more than 1 GiB. */
async function collectBytes(stream: AsyncIterable<Buffer | string>, file: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of stream) {
      const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      length += bytes.length;
      if (length > MAX_BYTES) throw tooLarge(file);
      chunks.push(bytes);
    }
  } catch (error) {
    throw error instanceof ManifestError ? error : unreadable(file, error);
  }
  return Buffer.concat(chunks, length);
}

function tooLarge(file: string): ManifestError {
  return new ManifestError("unreadable", "larger than 1 GiB: split it into several files", file);
}

/** Returns the text of a file's bytes: decompressed, and UTF-8 or refused. */
function textOf(bytes: Buffer, file: string): string {
  const plain = decompress(bytes, file);
  const mark = plain.length >= 2 ? plain.readUInt16BE(0) : 0;
  if (mark === 0xfffe || mark === 0xfeff) throw new ManifestError("syntax", "UTF-16 text: save it as UTF-8", file, 1, 1);
  if (!isUtf8(plain)) {
    const message = plain.includes(0) ? "binary data, neither YAML nor JSON" : "not UTF-8 text";
    throw new ManifestError("syntax", message, file, 1, 1);
  }
  try {
    return plain.toString("utf8");
  } catch {
    // V8 holds no text of more than 2^29 characters.
    throw new ManifestError("unreadable", "more than 512 MiB of text: split it into several files", file);
  }
}

function decompress(bytes: Buffer, file: string): Buffer {
  const isGzip = bytes.length > 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
  const isZstandard = bytes.length > 4 && bytes.readUInt32LE(0) === 0xfd2fb528;
  if (!isGzip && !isZstandard) return bytes;
  try {
    return isGzip ? gunzipSync(bytes, { maxOutputLength: MAX_BYTES }) : zstdDecompressSync(bytes, { maxOutputLength: MAX_BYTES });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(file);
    throw new ManifestError("unreadable", `damaged ${isGzip ? "gzip" : "Zstandard"} data: ${oneLine((error as Error).message)}`, file);
  }
}
