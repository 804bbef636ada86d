import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadAll } from "js-yaml";

/* Parses a JSON snapshot and folders of YAML and counts the objects: the least that a reader of them does with the same libraries. */

const [snapshot, ...folders] = process.argv.slice(2);
let objects = (JSON.parse(readFileSync(snapshot, "utf8")) as { items: unknown[] }).items.length;
for (const folder of folders) for (const name of readdirSync(folder)) objects += loadAll(readFileSync(join(folder, name), "utf8")).length;
process.stdout.write(`objects ${objects}\n`);
