import type { ManifestObject } from "../cluster/manifest.ts";
import { OBJECT_FIELDS, readMetadata } from "./metadata.ts";
import type { PolicyRef } from "./model.ts";
import { type Fields, type ObjectReader, quote } from "./objectReader.ts";

/**
 * Returns the name of a policy object and its `spec`, still to be read; undefined with an error where that is missing or no mapping. Without a
 * `defaultNamespace` the kind is cluster-scoped: a namespace in its metadata is an error, as to the API server.
 */
export function readHead(
  reader: ObjectReader,
  object: ManifestObject,
  defaultNamespace?: string,
): { ref: PolicyRef; spec: Fields | undefined } {
  const fields = reader.mapping(object.value, [], OBJECT_FIELDS) ?? {};
  const { name, namespace } = readMetadata(reader, fields.metadata, defaultNamespace ?? "default");
  const kind = String(object.value.kind);
  if (defaultNamespace === undefined) {
    const metadata = fields.metadata as { namespace?: unknown } | null | undefined;
    if ((metadata?.namespace ?? "") !== "")
      reader.error(["metadata", "namespace"], `${quote(kind)} is cluster-scoped: leave the namespace out`);
  }
  if ((fields.spec ?? null) === null) reader.error(["spec"], "a `spec` is required");
  const ref: PolicyRef = {
    apiVersion: String(object.value.apiVersion),
    kind,
    ...(defaultNamespace === undefined ? {} : { namespace }),
    name,
    file: object.file,
    line: reader.lineOf([]),
  };
  return { ref, spec: reader.mapping(fields.spec, ["spec"]) };
}
