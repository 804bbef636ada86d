import { readFileSync } from "node:fs";
import { systemReason } from "../capture/byteSource.ts";
import type { NameTable } from "../flow/names.ts";
import { parseAddress } from "../net/address.ts";
import { UsageError } from "./errors.ts";

/** Reads names of addresses: JSON `{"name": ["address"]}`, or lines as in /etc/hosts. */
export function readNames(path: string, names: NameTable): void {
  const text = readText(path, "--dns");
  if (!/^\s*\{/.test(text)) return readHosts(path, text, names);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`--dns: ${path}: not JSON: ${(error as Error).message}`);
  }
  for (const [name, addresses] of Object.entries(value as Record<string, unknown>)) {
    if (!Array.isArray(addresses)) throw new UsageError(`--dns: ${path}: \`${name}\` is no list of addresses`);
    for (const item of addresses) {
      const address = typeof item === "string" ? parseAddress(item) : undefined;
      if (address === undefined) throw new UsageError(`--dns: ${path}: \`${name}\` has ${JSON.stringify(item)}, which is no address`);
      names.add(address, name.toLowerCase());
    }
  }
}

function readHosts(path: string, text: string, names: NameTable): void {
  for (const [i, line] of text.split("\n").entries()) {
    const [first, ...rest] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (first === "") continue;
    const address = parseAddress(first);
    if (address === undefined || rest.length === 0)
      throw new UsageError(`--dns: ${path}:${i + 1}: not an address and its names: \`${line.trim().slice(0, 60)}\``);
    for (const name of rest) names.add(address, name.toLowerCase());
  }
}

/** Reads a small text file that a flag names. */
export function readText(path: string, flag: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${flag}: ${path}: ${systemReason(error)}`);
  }
}
