import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

/* Parses every line of a file as JSON and counts them: the least that a reader of JSON Lines in JavaScript does. */

let lines = 0;
for await (const line of createInterface({ input: createReadStream(process.argv[2]), crlfDelay: Number.POSITIVE_INFINITY })) {
  JSON.parse(line);
  lines++;
}
process.stdout.write(`lines ${lines}\n`);
