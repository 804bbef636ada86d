import type { ManifestObject } from "../cluster/manifest.ts";
import type { Labels } from "../cluster/objects.ts";
import { CNI_NAMES } from "../evaluate/profile.ts";
import { checkLabel } from "../policy/labelSelector.ts";
import { OBJECT_FIELDS, readMetadata } from "../policy/metadata.ts";
import { dnsLabelFault, dnsSubdomainFault } from "../policy/names.ts";
import { instead, nearest, type ObjectReader, type Path, quote, readerOf } from "../policy/objectReader.ts";
import type { Problem } from "../policy/problem.ts";
import { UsageError } from "./errors.ts";
import { type PortsText, parsePorts } from "./portText.ts";

const API_VERSION = "kguardian.dev/v1alpha1";
const KIND = "PolicyTest";

/** Ends that a word stands for. */
const WORDS = ["any", "pods", "nodes", "outside"] as const;
export type AllOf = (typeof WORDS)[number];

/** Whom one item of `from` or `to` names, still to be looked for in a cluster. */
export type EndText = {
  readonly path: Path;
  readonly except: readonly EndText[];
} /** As `explain` reads ends, or a prefix, or `reserved:NAME`. */ & (
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "all"; readonly of: AllOf }
  | { readonly kind: "selector"; readonly namespace?: string; readonly namespaceLabels: Labels; readonly labels: Labels }
  | { readonly kind: "dnsName"; readonly name: string }
);

/** What is expected of every connection from whoever `from` names to whomever `to` names. */
export interface ExpectationText {
  readonly path: Path;
  readonly line: number;
  readonly name: string | undefined;
  /** What it says, in one line. */
  readonly title: string;
  readonly from: readonly EndText[];
  readonly to: readonly EndText[];
  readonly ports: readonly PortsText[];
  readonly verdict: "allow" | "deny";
}

/** A PolicyTest as it is written. */
export interface PolicyTestText {
  readonly object: ManifestObject;
  readonly name: string;
  /** Of ends that name none. */
  readonly namespace: string | undefined;
  /** Paths as they are written: relative to the file. */
  readonly snapshot: readonly string[];
  readonly policies: readonly string[];
  readonly cni: string | undefined;
  readonly policyMode: "overlay" | "replace" | undefined;
  readonly staged: boolean | undefined;
  readonly expectations: readonly ExpectationText[];
}

/**
 * Returns the PolicyTest that an object is, with what is wrong with it; neither for an object of another kind. One whose kind or version
 * is nearly right is misspelt.
 */
export function readPolicyTest(object: ManifestObject): { test?: PolicyTestText; problems: readonly Problem[] } {
  const { apiVersion, kind } = object.value as { apiVersion: string; kind: string };
  const reader = readerOf(object);
  const isOwnGroup = apiVersion.startsWith("kguardian.dev/");
  if (kind !== KIND) {
    if (nearest(kind, [KIND]) !== undefined)
      reader.error(["kind"], `${quote(kind)} is no kind that is read here, did you mean \`${KIND}\``);
    return { problems: reader.problems };
  }
  if (apiVersion !== API_VERSION) {
    reader.error(["apiVersion"], `a ${KIND} is of \`${API_VERSION}\`, not ${quote(apiVersion)}${isOwnGroup ? ": another version" : ""}`);
    return { problems: reader.problems };
  }
  const fields = reader.mapping(object.value, [], OBJECT_FIELDS) ?? {};
  const { name, namespace } = readMetadata(reader, fields.metadata, "default");
  const hasNamespace = typeof (fields.metadata as { namespace?: unknown } | undefined)?.namespace === "string";
  const spec = reader.mapping(fields.spec, ["spec"], ["snapshot", "policies", "cni", "policyMode", "staged", "expectations"]) ?? {};
  const list = reader.list(spec.expectations, ["spec", "expectations"]) ?? [];
  if (list.length === 0 && Array.isArray(spec.expectations ?? []))
    reader.error(["spec", "expectations"], "at least one expectation is required");
  const test: PolicyTestText = {
    object,
    name,
    namespace: hasNamespace ? namespace : undefined,
    snapshot: readPaths(reader, spec.snapshot, ["spec", "snapshot"]),
    policies: readPaths(reader, spec.policies, ["spec", "policies"]),
    cni: readWord(reader, spec.cni, ["spec", "cni"], ["auto", ...CNI_NAMES], "network plugin"),
    policyMode: readWord(reader, spec.policyMode, ["spec", "policyMode"], ["overlay", "replace"], "policy mode"),
    staged: readFlag(reader, spec.staged, ["spec", "staged"]),
    expectations: list.map((each, index) => readExpectation(reader, each, ["spec", "expectations", index])),
  };
  return reader.hasErrors() ? { problems: reader.problems } : { test, problems: reader.problems };
}

function readPaths(reader: ObjectReader, value: unknown, path: Path): string[] {
  return itemsOf(value, path).flatMap(({ value: each, path: at }) => {
    const text = reader.text(each, at);
    if (text === "" || text === "-") reader.error(at, `${quote(text)} is no path of a file or directory`);
    return text === undefined ? [] : [text];
  });
}

function readWord<Word extends string>(
  reader: ObjectReader,
  value: unknown,
  path: Path,
  words: readonly Word[],
  what: string,
): Word | undefined {
  const text = reader.text(value, path);
  const word = words.find((each) => each === text);
  if (text !== undefined && word === undefined) reader.error(path, `${quote(text)} is no ${what}${instead(text, words, words.join(", "))}`);
  return word;
}

function readFlag(reader: ObjectReader, value: unknown, path: Path): boolean | undefined {
  if (value === undefined || value === null || typeof value === "boolean") return value ?? undefined;
  reader.error(path, `expected true or false, found ${quote(value)}`);
  return undefined;
}

/** One, or a list of them. */
function itemsOf(value: unknown, path: Path): { value: unknown; path: Path }[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value.map((each, index) => ({ value: each, path: [...path, index] })) : [{ value, path }];
}

const VERDICTS = ["allow", "deny"] as const;

function readExpectation(reader: ObjectReader, value: unknown, path: Path): ExpectationText {
  const fields = reader.mapping(value ?? {}, path, ["name", "from", "to", "ports", "verdict"]) ?? {};
  const verdict = readWord(reader, fields.verdict, [...path, "verdict"], VERDICTS, "verdict");
  if ((fields.verdict ?? null) === null) reader.error([...path, "verdict"], "a `verdict` is required: allow or deny");
  const [from, to] = (["from", "to"] as const).map((side) => {
    const ends = readEnds(reader, fields[side], [...path, side]);
    if (itemsOf(fields[side], []).length === 0)
      reader.error([...path, side], `\`${side}\` is required: who ${side === "from" ? "begins the connections" : "they go to"}`);
    return ends;
  });
  const name = reader.text(fields.name, [...path, "name"]);
  if (name === "") reader.error([...path, "name"], "a name is empty: leave it out");
  return {
    path,
    line: reader.lineOf(path),
    name,
    title: `from ${endsText(from)} to ${endsText(to)}${
      fields.ports === undefined
        ? ""
        : ` ${itemsOf(fields.ports, [])
            .map(({ value: each }) => String(each))
            .join(", ")}`
    }: ${verdict}`,
    from,
    to,
    ports: readPorts(reader, fields.ports, [...path, "ports"]),
    verdict: verdict ?? "deny",
  };
}

function readEnds(reader: ObjectReader, value: unknown, path: Path): EndText[] {
  return itemsOf(value, path).map((item) => readEnd(reader, item.value, item.path));
}

const END_FIELDS = ["all", "namespace", "namespaceLabels", "labels", "dnsName", "except"];

function readEnd(reader: ObjectReader, value: unknown, path: Path): EndText {
  if (typeof value === "string") {
    if (value.trim() === "") reader.error(path, "an end is empty: write deploy/web, svc/db, an IP address, any, …");
    const of = WORDS.find((word) => word === (value === "*" ? "any" : value));
    return of === undefined ? { kind: "text", text: value, path, except: [] } : { kind: "all", of, path, except: [] };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    reader.error(
      path,
      `expected an end, as text (deploy/web) or a mapping (${END_FIELDS.join(", ")}), found ${quote(JSON.stringify(value))}`,
    );
  const fields = (Array.isArray(value) ? undefined : reader.mapping(typeof value === "object" ? value : undefined, path, END_FIELDS)) ?? {};
  const except = readEnds(reader, fields.except, [...path, "except"]);
  const has = (field: string) => (fields[field] ?? null) !== null;
  const isSelector = has("namespace") || has("namespaceLabels") || has("labels");
  const ways = [has("all"), isSelector, has("dnsName")].filter(Boolean).length;
  if (ways > 1) reader.error(path, "`all`, `dnsName` and selecting by `namespace` and `labels` are three ways to name ends: use one");
  if (ways === 0 && except.length === 0 && typeof value === "object" && value !== null && !Array.isArray(value))
    reader.error(path, `an end names nobody: give one of ${END_FIELDS.join(", ")}`);
  if (has("dnsName")) {
    const name = (reader.text(fields.dnsName, [...path, "dnsName"]) ?? "").toLowerCase().replace(/\.$/, "");
    const fault = dnsSubdomainFault(name);
    if (fault !== undefined) reader.error([...path, "dnsName"], `${quote(name)} ${fault}`);
    return { kind: "dnsName", name, path, except };
  }
  if (!isSelector) {
    const of = readWord(reader, fields.all, [...path, "all"], WORDS, "word for many ends") ?? "any";
    return { kind: "all", of, path, except };
  }
  const namespace = reader.text(fields.namespace, [...path, "namespace"]);
  const fault = namespace === undefined ? undefined : dnsLabelFault(namespace);
  if (fault !== undefined) reader.error([...path, "namespace"], `the namespace ${quote(namespace)} ${fault}`);
  return {
    kind: "selector",
    ...(namespace === undefined ? {} : { namespace }),
    namespaceLabels: readLabels(reader, fields.namespaceLabels, [...path, "namespaceLabels"]),
    labels: readLabels(reader, fields.labels, [...path, "labels"]),
    path,
    except,
  };
}

function readLabels(reader: ObjectReader, value: unknown, path: Path): Labels {
  const labels: [string, string][] = [];
  for (const [key, label] of Object.entries(reader.mapping(value, path) ?? {})) {
    checkLabel(reader, key, label, [...path, key]);
    labels.push([key, typeof label === "string" ? label : ""]);
  }
  return Object.fromEntries(labels);
}

/** Without `ports`, all traffic is meant. */
function readPorts(reader: ObjectReader, value: unknown, path: Path): PortsText[] {
  const items = itemsOf(value, path);
  if (items.length === 0) {
    if (value !== undefined && value !== null) reader.error(path, "no port in the list: write any, or leave `ports` out");
    return [{ kind: "any" }];
  }
  return items.flatMap(({ value: each, path: at }) => {
    if (typeof each !== "string" && !Number.isInteger(each)) {
      reader.error(at, `expected a port (8080, 53/UDP, 8000-8100/TCP, http, any), found ${quote(JSON.stringify(each))}`);
      return [];
    }
    try {
      return [parsePorts(String(each))];
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      reader.error(at, error.message);
      return [];
    }
  });
}

/** Returns ends as a person would say them. */
function endsText(ends: readonly EndText[]): string {
  return ends.map(endText).join(", ");
}

function endText(end: EndText): string {
  const but = end.except.length === 0 ? "" : ` but ${end.except.map(endText).join(" and ")}`;
  switch (end.kind) {
    case "text":
      return end.text;
    case "all":
      return `${end.of === "any" ? "anything" : end.of === "outside" ? "outside" : `all ${end.of}`}${but}`;
    case "dnsName":
      return end.name + but;
    case "selector": {
      const labels = (set: Labels) => Object.entries(set).map(([key, value]) => `${key}=${value}`);
      const where = [...(end.namespace === undefined ? [] : [end.namespace]), ...labels(end.namespaceLabels)].join(",") || "*";
      return `${where}/${labels(end.labels).join(",") || "*"}${but}`;
    }
  }
}
