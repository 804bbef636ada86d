import type { ManifestObject } from "../../cluster/manifest.ts";
import { readHead } from "../objectHead.ts";
import { type Fields, readerOf } from "../objectReader.ts";
import type { ObjectReading } from "../reading.ts";
import { readPrefix } from "./peers.ts";

/** Returns the addresses of a CiliumCIDRGroup (cilium.io/v2 and v2alpha1), which policies name or select by its labels. */
export function readCidrGroup(object: ManifestObject): ObjectReading {
  const reader = readerOf(object);
  const { ref, spec: written } = readHead(reader, object);
  const spec = reader.mapping(written, ["spec"], ["externalCIDRs"]) ?? {};
  const path = ["spec", "externalCIDRs"];
  const prefixes = (reader.list(spec.externalCIDRs, path) ?? []).flatMap((each, index) => {
    const at = [...path, index];
    const prefix = readPrefix(reader, reader.text(each, at) ?? "", at);
    return prefix ? [prefix] : [];
  });
  if (reader.hasErrors()) return { problems: reader.problems };
  const { labels: ownLabels } = object.value.metadata as Fields;
  const labels = Object.fromEntries(Object.entries((ownLabels ?? {}) as Fields).map(([key, value]) => [key, String(value ?? "")]));
  return { sets: [{ ref, labels, prefixes }], problems: reader.problems };
}
