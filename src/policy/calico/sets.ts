import type { ManifestObject } from "../../cluster/manifest.ts";
import type { AddressSet } from "../model.ts";
import { readerOf } from "../objectReader.ts";
import type { ObjectReading } from "../reading.ts";
import { readFields, readNet, warnOfRepeated } from "./fields.ts";
import { readCalicoObject } from "./object.ts";

/** Calico writes it itself, with the namespace that the set is in. */
const RESERVED_LABEL = "projectcalico.org/namespace";

/**
 * Returns the addresses of a NetworkSet or GlobalNetworkSet with its own labels; those of its namespace count too, but are not
 * among them. Addresses without a length stand for themselves.
 */
export function readCalicoSet(object: ManifestObject, defaultNamespace = "default"): ObjectReading {
  const reader = readerOf(object);
  const { ref, labels, spec } = readCalicoObject(reader, object, defaultNamespace, object.value.kind === "NetworkSet");
  if (Object.hasOwn(labels, RESERVED_LABEL)) {
    reader.error(["metadata", "labels", RESERVED_LABEL], "Calico sets this label itself: leave it out");
  }
  const fields = readFields(reader, spec, ["spec"], ["nets"]) ?? {};
  const path = ["spec", "nets"];
  const items = reader.list(fields.nets, path) ?? [];
  warnOfRepeated(reader, items, path);
  const prefixes = items.map((item, index) => readNet(reader, item, [...path, index], "set")).filter((prefix) => prefix !== undefined);
  if (reader.hasErrors()) return { problems: reader.problems };
  const set: AddressSet = { ref, labels, prefixes };
  return { sets: [set], problems: reader.problems };
}
