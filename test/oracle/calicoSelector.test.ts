import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { formatSelector, parseSelector, selectsLabels } from "../../src/policy/calico/selector.ts";

/** What libcalico-go's own parser says of selectors: see the README of the folder. Left out where the vectors are not there. */

interface Vector {
  readonly selector: string;
  readonly valid: boolean;
  readonly evals?: readonly { readonly labels: Readonly<Record<string, string>>; readonly match: boolean }[];
}

const folder = new URL("../../../shared/oracle/calico-selector/", import.meta.url);
const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : [];

describe.skipIf(names.length === 0)("selectors as Calico reads them", () => {
  test.each(names)("%s", (name) => {
    const { vectors }: { vectors: readonly Vector[] } = JSON.parse(readFileSync(new URL(name, folder), "utf8"));
    expect(vectors.length).toBeGreaterThan(0);
    const wrong: string[] = [];
    for (const { selector, valid, evals } of vectors) {
      const read = parseSelector(selector);
      if ("error" in read !== !valid) {
        wrong.push(`${selector}: ${JSON.stringify(read)}`);
      } else if ("expression" in read) {
        const printed = formatSelector(read.expression);
        expect(parseSelector(printed), printed).toEqual(read);
        for (const { labels, match } of evals ?? []) {
          if (selectsLabels(read.expression, labels) !== match) wrong.push(`${selector} of ${JSON.stringify(labels)}: not ${match}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});
