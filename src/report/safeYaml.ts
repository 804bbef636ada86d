import { dump } from "js-yaml";
import { printable } from "./text.ts";

/**
 * Returns YAML of what JSON would have of a value (absent fields are left out), with every text safe on a terminal: of controls only line
 * breaks stay, which YAML keeps within their text. `lineWidth`: where long texts are folded; -1: nowhere, so that texts of lines stay
 * readable. Apart from text.ts, which every command loads: this loads a YAML library.
 */
export function safeYaml(value: unknown, lineWidth = 80): string {
  const safe = (text: string) => text.split("\n").map(printable).join("\n");
  return dump(
    JSON.parse(JSON.stringify(value), (_key, field) => (typeof field === "string" ? safe(field) : field)),
    { lineWidth },
  );
}
