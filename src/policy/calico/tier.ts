import type { ManifestObject } from "../../cluster/manifest.ts";
import type { Tier } from "../model.ts";
import { dnsLabelFault } from "../names.ts";
import { quote, readerOf } from "../objectReader.ts";
import type { ObjectReading } from "../reading.ts";
import { readFields, readOrder, readWord } from "./fields.ts";
import { readCalicoObject } from "./object.ts";

/** The order of a tier that says none (oracle/calico/README.md: it ties with `default`). */
const DEFAULT_ORDER = 1_000_000;

/** What the tiers that Calico makes itself must be (CEL rules of the Tier CRD). */
const FIXED: ReadonlyMap<string, { readonly order: number; readonly end: "Deny" | "Pass" }> = new Map([
  ["default", { order: DEFAULT_ORDER, end: "Deny" }],
  ["kube-admin", { order: 1000, end: "Pass" }],
  ["kube-baseline", { order: 10_000_000, end: "Pass" }],
]);

/** Returns a tier. Without `order` it has that of the tier `default`, without `defaultAction` its end denies. */
export function readCalicoTier(object: ManifestObject): ObjectReading {
  const reader = readerOf(object);
  const { ref, spec } = readCalicoObject(reader, object, "default", false);
  const nameFault = dnsLabelFault(ref.name);
  if (nameFault && !reader.hasErrors()) reader.error(["metadata", "name"], `the name ${quote(ref.name)} ${nameFault}`);
  if ((spec ?? null) === null) reader.error(["spec"], "a `spec` is required, an empty one at least");
  const fields = readFields(reader, spec, ["spec"], ["order", "defaultAction"]) ?? {};
  const order = readOrder(reader, fields.order, ["spec", "order"]);
  const end = readWord(reader, fields.defaultAction, ["spec", "defaultAction"], ["Deny", "Pass"]) ?? "Deny";
  const fixed = FIXED.get(ref.name);
  if (fixed && order !== fixed.order) {
    reader.error(["spec", "order"], `the order of the tier ${quote(ref.name)} must be ${fixed.order}`);
  }
  if (fixed && end !== fixed.end) {
    reader.error(["spec", "defaultAction"], `the defaultAction of the tier ${quote(ref.name)} must be ${fixed.end}`);
  }
  if (reader.hasErrors()) return { problems: reader.problems };
  const tier: Tier = { ref, name: ref.name, order: order ?? DEFAULT_ORDER, end: end === "Pass" ? "pass" : "deny" };
  return { tiers: [tier], problems: reader.problems };
}
