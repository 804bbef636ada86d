import { dump, YAML11_SCHEMA } from "js-yaml";
import { NUMBER_TAGS } from "../cluster/yamlDocuments.ts";

/** Numbers are written as YAML 1.1 has them; texts that it or the API's own reader would take for something else are quoted. */
const SCHEMA = YAML11_SCHEMA.withTags(...NUMBER_TAGS.map((tag) => ({ ...tag, tagName: `${tag.tagName}:kubernetes` })));

/** Comments of a policy, each a list of lines without the leading `# `. */
export interface PolicyComments {
  /** Above the object. */
  readonly head: readonly string[];
  /** Above fields of `spec`, by name. */
  readonly fields?: Readonly<Record<string, readonly string[]>>;
  /** Above each item of the lists in `spec`, by the field's name; items beyond have none. */
  readonly items?: Readonly<Record<string, readonly (readonly string[])[]>>;
}

/** A Kubernetes object with a `spec` of fields. */
export interface CommentedObject {
  readonly spec: Readonly<Record<string, unknown>>;
}

/**
 * Returns the YAML text of one object, with comments. Texts that readers of YAML 1.1, as the API's own, would take for numbers or
 * booleans (`9_E2`, `on`) are quoted. Comments must hold no line break or control character.
 */
export function policyText(object: CommentedObject, comments: PolicyComments): string {
  const { spec, ...head } = object;
  const lines = [...commentLines(comments.head, ""), ...dumpLines(head, ""), "spec:"];
  for (const [field, value] of Object.entries(spec)) {
    lines.push(...commentLines(comments.fields?.[field] ?? [], "  "));
    const items = comments.items?.[field];
    if (items === undefined || !Array.isArray(value) || value.length === 0) {
      lines.push(...dumpLines({ [field]: value }, "  "));
      continue;
    }
    lines.push(...dumpLines({ [field]: null }, "  ").map((line) => line.replace(/ null$/, "")));
    lines.push(...itemLines(value, items).map((line) => (line === "" ? "" : `    ${line}`)));
  }
  return `${lines.join("\n")}\n`;
}

/** Returns the YAML text of a whole object without comments: equal objects have equal texts, whatever they were written like. */
export function objectText(object: object): string {
  return `${dumpLines(object, "").join("\n")}\n`;
}

/** Returns the lines of a list's items at no indentation, each with its comments above it. */
export function itemLines(items: readonly unknown[], comments: readonly (readonly string[])[]): string[] {
  return items.flatMap((item, i) => [...commentLines(comments[i] ?? [], ""), ...dumpLines([item], "")]);
}

function commentLines(lines: readonly string[], indent: string): string[] {
  return lines.map((line) => `${indent}#${line === "" ? "" : ` ${line}`}`);
}

function dumpLines(value: unknown, indent: string): string[] {
  const text = dump(value, { schema: SCHEMA, lineWidth: -1, noRefs: true, quoteStyle: "double" });
  return text
    .trimEnd()
    .split("\n")
    .map((line) => (line === "" ? "" : indent + line));
}
