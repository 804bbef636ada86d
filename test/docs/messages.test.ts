import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CNI_NAMES, type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { ROOT } from "./page.ts";

/* docs/troubleshooting.md is found by messages: each must be one that the sources still print. */

const files = ["src", "commands", "bin"].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8").replaceAll("\\`", "`")),
);

/** Parts of a message between what differs; what is too short to tell anything is left out. */
const partsOf = (message: string) =>
  message
    .split("…")
    .map((part) => part.trim())
    .filter((part) => /[a-z]{2}.*[a-z]{2}/i.test(part));

const isPrinted = (message: string) => files.some((text) => partsOf(message).every((part) => text.includes(part)));

const messages = [...readFileSync(join(ROOT, "docs/troubleshooting.md"), "utf8").matchAll(/^### (.*)$/gm)].map(([, heading]) => heading);

test("every heading is a message that a source file has, with all of its parts", () => {
  expect(messages.length).toBeGreaterThan(50);
  expect(messages.filter((heading) => !/^`.*`$/.test(heading))).toEqual([]);
  expect(messages.filter((heading) => !isPrinted(heading.slice(1, -1)))).toEqual([]);
});

test("each is there once, and none is so short that any text would do", () => {
  expect(new Set(messages).size).toBe(messages.length);
  expect(messages.filter((heading) => partsOf(heading.slice(1, -1)).join("").length < 10)).toEqual([]);
  expect(isPrinted("… no such message was ever printed: …")).toBe(false);
});

test("the reasons of unknown verdicts on the page on semantics are those of the sources", () => {
  const source = readFileSync(join(ROOT, "src/evaluate/decision.ts"), "utf8");
  const [, union] = /export type UnknownReason =([^;]*);/.exec(source)!;
  const page = readFileSync(join(ROOT, "docs/semantics.md"), "utf8");
  const [, table] = /^## What is unknown, and why\n([\s\S]*?)^## /m.exec(page)!;
  expect([...table.matchAll(/^\| `([\w-]+-[\w-]+)` \|/gm)].map(([, reason]) => reason).sort()).toEqual(
    [...union.matchAll(/"([\w-]+)"/g)].map(([, reason]) => reason).sort(),
  );
});

test("what plugins do differently is what their profiles say", () => {
  const page = readFileSync(join(ROOT, "docs/semantics.md"), "utf8");
  const [, table] = /^## What plugins do differently\n([\s\S]*?)^## /m.exec(page)!;
  const rows = [...table.matchAll(/^\|(.*)\|$/gm)].map(([, row]) => row.split("|").map((cell) => cell.trim()));
  const names = rows[0].slice(1) as CniName[];
  expect(names).toEqual(CNI_NAMES);
  const row = (title: string) => rows.find(([first]) => first === title)!.slice(1);
  const profiles = names.map((name) => profileOf(name));
  expect(row("`ipBlock` holds pods, nodes")).toEqual(
    profiles.map(({ blocksMatchPods: pods, blocksMatchNodes: nodes }) => (pods && nodes ? "yes" : "no")),
  );
  expect(row("a pod to its own node").map((cell) => cell.slice(0, 6))).toEqual(
    profiles.map(({ podToOwnNode }) => (podToOwnNode === "allow" ? "allowe" : "judged")),
  );
  expect(row("a named port in NetworkPolicy")).toEqual(
    profiles.map(({ namedPortIsWholeProtocol }) => (namedPortIsWholeProtocol ? "every port of the protocol" : "the port")),
  );
  expect(row("ICMP that always passes").map((cell) => cell === "none")).toEqual(
    profiles.map(({ icmpAlwaysPasses }) => icmpAlwaysPasses.length === 0),
  );
  expect(row("selectors of pods select pods on the host network")).toEqual(
    profiles.map(({ selectsHostPods: { ingress, egress } }) => (ingress ? "yes" : egress ? "for egress" : "no")),
  );
});
