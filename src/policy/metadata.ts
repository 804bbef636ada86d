import { checkLabel } from "./labelSelector.ts";
import { dnsLabelFault, dnsSubdomainFault, labelKeyFault } from "./names.ts";
import { type ObjectReader, quote } from "./objectReader.ts";

/** Top-level fields of every object that a cluster prints. */
export const OBJECT_FIELDS = ["apiVersion", "kind", "metadata", "spec", "status"]; // status: gone since 1.28, printed by older clusters
const METADATA_FIELDS = [
  ...["name", "generateName", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "managedFields"],
  ...["uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"],
];
/**
 * Returns the name and namespace of an object, with what the API server would refuse in its metadata (k8s.io/apimachinery
 * pkg/api/validation ValidateObjectMeta). An empty namespace is the same as none: clients fill in their own.
 */
export function readMetadata(reader: ObjectReader, value: unknown, defaultNamespace: string): { name: string; namespace: string } {
  const path = ["metadata"];
  const metadata = reader.mapping(value, path, METADATA_FIELDS) ?? {};
  const name = reader.text(metadata.name, ["metadata", "name"]) ?? "";
  const nameFault = name === "" ? undefined : dnsSubdomainFault(name);
  if (nameFault) reader.error(["metadata", "name"], `the name ${quote(name)} ${nameFault}`);
  else if (name === "" && typeof (metadata.name ?? "") === "string") reader.error(["metadata", "name"], "a name is required");
  const namespace = reader.text(metadata.namespace, ["metadata", "namespace"]) || defaultNamespace;
  const namespaceFault = dnsLabelFault(namespace);
  if (namespaceFault) reader.error(["metadata", "namespace"], `the namespace ${quote(namespace)} ${namespaceFault}`);
  for (const [key, label] of Object.entries(reader.mapping(metadata.labels, ["metadata", "labels"]) ?? {})) {
    checkLabel(reader, key, label, ["metadata", "labels", key]);
  }
  for (const [key, text] of Object.entries(reader.mapping(metadata.annotations, ["metadata", "annotations"]) ?? {})) {
    const fault = labelKeyFault(key.toLowerCase());
    if (fault) reader.error(["metadata", "annotations", key], `${quote(key)} ${fault.replace("label key", "annotation key")}`);
    reader.text(text, ["metadata", "annotations", key]);
  }
  return { name, namespace };
}
