import { dump } from "js-yaml";
import { printable } from "./text.ts";

/**
 * Returns YAML of what JSON would have of a value (absent fields are left out), with every text safe on a terminal. Apart from text.ts,
 * which every command loads: this loads a YAML library.
 */
export function safeYaml(value: unknown): string {
  return dump(JSON.parse(JSON.stringify(value), (_key, field) => (typeof field === "string" ? printable(field) : field)));
}
