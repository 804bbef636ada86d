import type { ManifestObject } from "../../cluster/manifest.ts";
import { OBJECT_FIELDS, readMetadata } from "../metadata.ts";
import { type Fields, quote, readerOf } from "../objectReader.ts";
import type { ObjectReading } from "../reading.ts";
import { readPrefix } from "./peers.ts";

/** Returns the addresses of a CiliumCIDRGroup (cilium.io/v2 and v2alpha1), which policies name or select by its labels. */
export function readCidrGroup(object: ManifestObject): ObjectReading {
  const reader = readerOf(object);
  const kind = String(object.value.kind);
  const fields = reader.mapping(object.value, [], OBJECT_FIELDS) ?? {};
  const { name } = readMetadata(reader, fields.metadata, "default");
  const metadata = reader.mapping(fields.metadata, ["metadata"]) ?? {};
  if ((metadata.namespace ?? "") !== "") {
    reader.error(["metadata", "namespace"], `${quote(kind)} is cluster-scoped: leave the namespace out`);
  }
  if ((fields.spec ?? null) === null) reader.error(["spec"], "a `spec` is required");
  const spec = reader.mapping(fields.spec, ["spec"], ["externalCIDRs"]) ?? {};
  const path = ["spec", "externalCIDRs"];
  const prefixes = (reader.list(spec.externalCIDRs, path) ?? []).flatMap((each, index) => {
    const at = [...path, index];
    const prefix = readPrefix(reader, reader.text(each, at) ?? "", at);
    return prefix ? [prefix] : [];
  });
  if (reader.hasErrors()) return { problems: reader.problems };
  const labels = Object.fromEntries(Object.entries((metadata.labels ?? {}) as Fields).map(([key, value]) => [key, String(value ?? "")]));
  const ref = { apiVersion: String(object.value.apiVersion), kind, name, file: object.file, line: reader.lineOf([]) };
  return { sets: [{ ref, labels, prefixes }], problems: reader.problems };
}
