import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readCalicoPolicy } from "../../src/policy/calico/calicoPolicy.ts";
import { readCalicoSet } from "../../src/policy/calico/sets.ts";
import { readCalicoTier } from "../../src/policy/calico/tier.ts";

/** What Calico's CRD and its validator refuse: see the README of the folder above. Left out where the vectors are not there. */

interface Spec {
  readonly name: string;
  readonly object: { readonly kind: string };
  readonly crd: boolean;
  readonly validator: boolean;
  /** Fields that the API server drops without a word. */
  readonly prunedFields?: readonly string[];
  readonly typesAfterDefaulting?: readonly string[];
}

const file = new URL("../../../shared/oracle/calico/validation/validation.json", import.meta.url);
const specs: readonly Spec[] = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).specs : [];

function read({ object }: Spec) {
  const [manifest] = readManifest(JSON.stringify(object), "p.json");
  if (object.kind === "Tier") return readCalicoTier(manifest);
  return object.kind.endsWith("NetworkSet") ? readCalicoSet(manifest) : readCalicoPolicy(manifest);
}

describe.skipIf(specs.length === 0)("objects as Calico validates them", () => {
  test.each(specs.map((spec): [string, Spec] => [spec.name, spec]))("%s", (_name, spec) => {
    const { policies, tiers, sets, problems } = read(spec);
    const errors = problems.filter(({ severity }) => severity === "error");
    const isRead = (policies ?? tiers ?? sets) !== undefined;
    expect({ isRead, refused: errors.length > 0 }, JSON.stringify(problems)).toEqual(
      spec.crd && spec.validator ? { isRead: true, refused: false } : { isRead: false, refused: true },
    );
    const dropped = problems.filter(({ message }) => message.includes("is dropped by Calico")).map(({ path }) => path);
    expect(dropped).toEqual(spec.prunedFields ?? []);
    if (isRead && spec.typesAfterDefaulting) {
      const types = [...(policies?.[0].ingress ? ["Ingress"] : []), ...(policies?.[0].egress ? ["Egress"] : [])];
      expect(types).toEqual(spec.typesAfterDefaulting);
    }
  });
});
