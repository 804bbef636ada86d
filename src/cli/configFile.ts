import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { systemReason } from "../capture/byteSource.ts";
import { readManifest } from "../cluster/manifest.ts";
import { dnsLabelFault } from "../policy/names.ts";
import { type Fields, instead, type ObjectReader, type Path, quote, readerOf } from "../policy/objectReader.ts";
import type { ConfigPlace } from "./configPlace.ts";
import { UsageError } from "./errors.ts";
import { refuseErrors } from "./policies.ts";
import { accepts, type FlagShape, SETTINGS, type Setting, settingOf } from "./settings.ts";

const API_VERSION = "kguardian.dev/v1alpha1";
const KIND = "Config";
const FIELDS = ["apiVersion", "kind", "defaults", "commands"];
/** A few dozen lines are written by hand; what is larger is another file. */
const MOST_BYTES = 1 << 20;
/** Names of fields in which people would write what nobody else may read. */
const SECRET = /token(?!File$)|password|passwd|secret|credential|apikey/i;

/** Values of one section, by the fields of `SETTINGS`. */
export type Values = ReadonlyMap<string, readonly string[]>;

/** What a configuration file says. */
export interface ConfigFile {
  readonly path: string;
  readonly defaults: Values;
  /** By the ids of commands. */
  readonly commands: ReadonlyMap<string, Values>;
}

/** Flags of every command, by its id, and the ids behind the names that are typed. */
export interface KnownCommands {
  readonly flags: Readonly<Record<string, Readonly<Record<string, FlagShape>>>>;
  readonly ids: ReadonlyMap<string, string>;
}

/**
 * Reads the configuration file. Returns undefined where there is none; throws a UsageError with file, line and column for one that cannot
 * be read or says what no setting takes.
 */
export function readConfigFile(place: ConfigPlace, commands: KnownCommands): ConfigFile | undefined {
  const text = textOf(place);
  if (text === undefined) return undefined;
  const [object, ...others] = readManifest(text, place.path);
  const empty = { path: place.path, defaults: new Map(), commands: new Map() };
  if (object === undefined) return empty;
  const reader = readerOf(object);
  if (others.length > 0) throw new UsageError(`${place.path}: ${others.length + 1} objects in it: a configuration is one`);
  const { apiVersion, kind } = object.value;
  if (kind !== KIND) reader.error(["kind"], `${quote(kind)} is no configuration${instead(String(kind), [KIND], KIND)}`);
  else if (apiVersion !== API_VERSION) reader.error(["apiVersion"], `a ${KIND} is of \`${API_VERSION}\`, not ${quote(apiVersion)}`);
  else refuseSecrets(reader, object.value, []);
  refuseErrors(reader.problems);
  const file = readFields(reader, object.value, commands, place.path);
  refuseErrors(reader.problems);
  return file;
}

function textOf({ path, isNamed }: ConfigPlace): string | undefined {
  const whose = isNamed ? "KGUARDIAN_CONFIG: " : "";
  try {
    const found = statSync(path);
    if (!found.isFile()) throw new UsageError(`${whose}${path}: no plain file`);
    if (found.size > MOST_BYTES) throw new UsageError(`${whose}${path}: larger than 1 MiB: no configuration`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (!isNamed && (code === "ENOENT" || code === "ENOTDIR")) return undefined;
    throw new UsageError(`${whose}${path}: ${systemReason(error)}`);
  }
}

/** Tokens have no place here: the file is backed up, shared and committed. Said before anything else, and without the value. */
function refuseSecrets(reader: ObjectReader, value: unknown, path: Path): void {
  if (typeof value !== "object" || value === null || path.length > 3) return;
  for (const [key, each] of Object.entries(value)) {
    if (SECRET.test(key))
      reader.error(
        [...path, key],
        "tokens and passwords do not belong into this file: name a file that holds the token (brokerTokenFile), or set KGUARDIAN_BROKER_TOKEN",
      );
    else refuseSecrets(reader, each, [...path, key]);
  }
}

function readFields(reader: ObjectReader, value: Fields, known: KnownCommands, path: string): ConfigFile {
  const fields = reader.mapping(value, [], FIELDS) ?? {};
  const settings = SETTINGS.map(({ field }) => field);
  const defaults = readValues(reader, fields.defaults, ["defaults"], settings, path, known);
  const commands = new Map<string, Values>();
  const names = [...known.ids.keys()];
  for (const [name, section] of Object.entries(reader.mapping(fields.commands, ["commands"]) ?? {})) {
    const at = ["commands", name];
    const id = known.ids.get(name);
    if (id === undefined) reader.error(at, `${quote(name)} is no command${instead(name, names, names.join(", "))}`);
    else {
      const flags = known.flags[id];
      const own = SETTINGS.filter(({ flag }) => flag in flags && settingOf(id, flag, flags[flag]) !== undefined);
      const fieldNames = own.map(({ field }) => field);
      commands.set(id, readValues(reader, section, at, fieldNames, path, { flags: { [id]: flags }, ids: known.ids }));
    }
  }
  return { path, defaults, commands };
}

/** Reads one section. Every value must be one that some of the commands take. */
function readValues(
  reader: ObjectReader,
  value: unknown,
  path: Path,
  fields: readonly string[],
  file: string,
  commands: KnownCommands,
): Values {
  const values = new Map<string, readonly string[]>();
  const given = reader.mapping(value, path, fields) ?? {};
  for (const setting of SETTINGS) {
    if (!fields.includes(setting.field) || (given[setting.field] ?? null) === null) continue;
    const at = [...path, setting.field];
    const texts = readTexts(reader, given[setting.field], at, setting);
    for (const text of texts) checkValue(reader, text, at, setting, commands);
    values.set(setting.field, setting.isPath ? texts.map((text) => pathFrom(file, text)) : texts);
  }
  return values;
}

function readTexts(reader: ObjectReader, value: unknown, path: Path, { isList }: Setting): readonly string[] {
  if (!isList || !Array.isArray(value)) return [reader.text(value, path) ?? []].flat();
  return value.flatMap((each, index) => reader.text(each, [...path, index]) ?? []);
}

function checkValue(reader: ObjectReader, text: string, path: Path, setting: Setting, { flags }: KnownCommands): void {
  if (text === "" || text === "-")
    return reader.error(path, text === "" ? "empty: leave it out" : "standard input is no default: name a file");
  const taking = Object.entries(flags).flatMap(([id, own]) =>
    setting.flag in own && settingOf(id, setting.flag, own[setting.flag]) !== undefined ? [own[setting.flag]] : [],
  );
  const options = [...new Set(taking.flatMap((flag) => flag.options ?? []))];
  if (options.length > 0 && !taking.some((flag) => accepts(flag, text)))
    return reader.error(path, `${quote(text)} is no value of --${setting.flag}${instead(text, options, options.join(", "))}`);
  if (setting.field === "namespace" || setting.field === "brokerNamespace") {
    const fault = dnsLabelFault(text);
    if (fault !== undefined) reader.error(path, `the namespace ${quote(text)} ${fault}`);
  }
  if (setting.field === "brokerUrl") checkUrl(reader, text, path);
}

function checkUrl(reader: ObjectReader, text: string, path: Path): void {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return reader.error(path, `${quote(text)} is no URL (http://127.0.0.1:9090)`);
  }
  if (url.username !== "" || url.password !== "")
    reader.error(
      path,
      "tokens and passwords do not belong into this file, in a URL neither: name a file that holds the token (brokerTokenFile)",
    );
}

/** Paths are told from the file's folder, as those of a kubeconfig are; `~/` is the home. */
function pathFrom(file: string, text: string): string {
  return text.startsWith("~/") ? join(process.env.HOME || homedir(), text.slice(2)) : resolve(dirname(file), text);
}
