import { type ManifestObject, withPlace } from "../cluster/manifest.ts";
import { OBJECT_FIELDS, readMetadata } from "./metadata.ts";
import type { PolicyRef } from "./model.ts";
import { type Fields, type ObjectReader, quote } from "./objectReader.ts";

/** Returns the name of an object and its `spec`, still to be read; undefined with an error where that is missing or no mapping. */
export function readHead(
  reader: ObjectReader,
  object: ManifestObject,
  defaultNamespace?: string,
): { ref: PolicyRef; spec: Fields | undefined } {
  const fields = reader.mapping(object.value, [], OBJECT_FIELDS) ?? {};
  const ref = readRef(reader, object, fields.metadata, defaultNamespace);
  if ((fields.spec ?? null) === null) reader.error(["spec"], "a `spec` is required");
  return { ref, spec: reader.mapping(fields.spec, ["spec"]) };
}

/**
 * Returns what an object is called, with what is wrong with its metadata. Without a `defaultNamespace` the kind is cluster-scoped: a
 * namespace there is an error, as to the API server.
 */
export function readRef(reader: ObjectReader, object: ManifestObject, metadata: unknown, defaultNamespace?: string): PolicyRef {
  const { name, namespace } = readMetadata(reader, metadata, defaultNamespace ?? "default");
  const kind = String(object.value.kind);
  const isNamespaced = defaultNamespace !== undefined;
  if (!isNamespaced && ((metadata as Fields | null | undefined)?.namespace ?? "") !== "")
    reader.error(["metadata", "namespace"], `${quote(kind)} is cluster-scoped: leave the namespace out`);
  return withPlace(object, { apiVersion: String(object.value.apiVersion), kind, ...(isNamespaced ? { namespace } : {}), name });
}
