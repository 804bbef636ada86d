import type { Direction, L7Match, TextMatch } from "../model.ts";
import { type Fields, type ObjectReader, type Path, quote } from "../objectReader.ts";
import { readFields, readItems } from "./fields.ts";

const MAX_ITEMS = 20;
const MAX_PATH = 1024;

/** Returns the requests that a rule's `http` allows, one of any method with any path; undefined without (Calico API: HTTPMatch). */
export function readHttp(reader: ObjectReader, rule: Fields, path: Path, direction: Direction): readonly L7Match[] | undefined {
  const fields = readFields(reader, rule.http, path, ["methods", "paths"]);
  if (!fields) return undefined;
  const { protocol, action } = rule;
  // The CRD compares the protocol as it is written: `"6"` in quotes is not TCP.
  if ((protocol ?? null) !== null && protocol !== "TCP" && protocol !== 6)
    reader.error(path, "`http` needs the rule's `protocol` to be TCP or absent");
  if (action !== "Allow") reader.error(path, "`http` may stand in an Allow rule only");
  if (direction === "egress") reader.error(path, "`http` may stand in an ingress rule only");
  const methods = readMethods(reader, fields.methods, [...path, "methods"]);
  const paths = readPaths(reader, fields.paths, [...path, "paths"]);
  reader.warning(path, "only application-layer enforcement (Istio with Dikastes) looks at `http`");
  return methods.flatMap((method) =>
    paths.map((each): L7Match => ({ kind: "http", ...(method ? { method } : {}), ...(each ? { path: each } : {}) })),
  );
}

/** Returns the methods; undefined among them: whatever method. */
function readMethods(reader: ObjectReader, value: unknown, path: Path): readonly (TextMatch | undefined)[] {
  const methods = readItems(reader, value, path, MAX_ITEMS).map((item, index) => reader.text(item ?? "", [...path, index]) ?? "");
  if (new Set(methods).size < methods.length) reader.error(path, "a method is listed twice");
  // app-policy/checker takes `*` for any method.
  return methods.length === 0 || methods.includes("*") ? [undefined] : methods.map((exact) => ({ exact }));
}

function readPaths(reader: ObjectReader, value: unknown, path: Path): readonly (TextMatch | undefined)[] {
  const paths = readItems(reader, value, path, MAX_ITEMS).map((item, index) => readPath(reader, item, [...path, index]));
  // A path that is listed twice says nothing more.
  return paths.length === 0 ? [undefined] : [...new Map(paths.map((each) => [JSON.stringify(each), each])).values()];
}

function readPath(reader: ObjectReader, value: unknown, path: Path): TextMatch {
  const fields = readFields(reader, value ?? {}, path, ["exact", "prefix"]) ?? {};
  const exact = reader.text(fields.exact, [...path, "exact"]) ?? "";
  const prefix = reader.text(fields.prefix, [...path, "prefix"]) ?? "";
  const text = exact || prefix;
  if (exact !== "" && prefix !== "") reader.error(path, "a path has `exact` or `prefix`, not both");
  else if (text === "") reader.error(path, "a path needs `exact` or `prefix`");
  else if (!text.startsWith("/") || /[? #]/.test(text))
    reader.error(path, `${quote(text)} is no path: it starts with / and has no ?, # or blank`);
  if (text.length > MAX_PATH) reader.error(path, `a path is no longer than ${MAX_PATH} characters`);
  return exact !== "" ? { exact } : { prefix };
}
