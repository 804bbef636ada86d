import { isMapping, type ManifestObject, withPlace } from "../../cluster/manifest.ts";
import { OBJECT_FIELDS, readMetadata } from "../metadata.ts";
import type { PolicyRef } from "../model.ts";
import { type Fields, type ObjectReader, quote } from "../objectReader.ts";
import { readFields } from "./fields.ts";

/** What all of Calico's objects have. */
export interface CalicoObject {
  readonly ref: PolicyRef;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: unknown;
}

const METADATA_ANNOTATION = "projectcalico.org/metadata";

/**
 * Returns the name, labels and `spec` of an object. Of crd.projectcalico.org/v1, in which Calico keeps its objects, it returns what
 * the projectcalico.org/v3 object says: its labels and perhaps its name are kept in an annotation.
 */
export function readCalicoObject(
  reader: ObjectReader,
  object: ManifestObject,
  defaultNamespace: string,
  isNamespaced: boolean,
): CalicoObject {
  const fields = readFields(reader, object.value, [], OBJECT_FIELDS) ?? {};
  const { name, namespace } = readMetadata(reader, fields.metadata, defaultNamespace);
  const metadata: Fields = isMapping(fields.metadata) ? fields.metadata : {};
  if (!isNamespaced && (metadata.namespace ?? "") !== "") {
    reader.warning(["metadata", "namespace"], "a namespace means nothing here: the kind is cluster-wide");
  }
  const apiVersion = String(object.value.apiVersion);
  const kept = apiVersion.startsWith("crd.") ? readKeptMetadata(reader, metadata) : undefined;
  return {
    ref: withPlace(object, {
      apiVersion,
      kind: String(object.value.kind),
      ...(isNamespaced ? { namespace } : {}),
      name: kept?.name || name,
    }),
    labels: textsOf(kept ? kept.labels : metadata.labels),
    spec: fields.spec,
  };
}

/** Returns the metadata that libcalico-go keeps as JSON in an annotation of the stored object; undefined without. */
function readKeptMetadata(
  reader: ObjectReader,
  { annotations }: Fields,
): { readonly name?: string; readonly labels?: unknown } | undefined {
  const text = isMapping(annotations) ? annotations[METADATA_ANNOTATION] : undefined;
  if (typeof text !== "string") return undefined;
  try {
    const kept: unknown = JSON.parse(text);
    if (isMapping(kept)) return { labels: kept.labels, ...(typeof kept.name === "string" ? { name: kept.name } : {}) };
  } catch {
    // Told below.
  }
  reader.error(["metadata", "annotations", METADATA_ANNOTATION], `${quote(text)} is no JSON object: Calico would leave the object out`);
  return undefined;
}

function textsOf(value: unknown): Record<string, string> {
  if (!isMapping(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([key, text]) => [key, typeof text === "string" ? text : ""]));
}
