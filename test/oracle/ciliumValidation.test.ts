import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readCiliumNetworkPolicy } from "../../src/policy/cilium/ciliumNetworkPolicy.ts";
import { problemLines } from "../policy/manifestText.ts";

/*
 * What Cilium's own agent (v1.20.2) accepts and refuses: see the README of the folder. Left out where the vectors are not there.
 */

interface Case {
  readonly name: string;
  readonly policy: unknown;
  readonly valid: boolean;
  readonly error?: string;
}

const oracle = new URL("../../../shared/oracle/", import.meta.url);
const file = new URL("cilium/validation/validation.json", oracle);
const cases: readonly Case[] = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).cases : [];

const errorsIn = (policy: unknown): string[] => {
  const { problems } = readCiliumNetworkPolicy(readManifest(JSON.stringify(policy), "p.json")[0]);
  return problemLines(problems.filter(({ severity }) => severity === "error"));
};

describe.skipIf(cases.length === 0)("specs that Cilium's parser judged", () => {
  test.each(cases)("$name", ({ policy, valid, error }) => {
    const errors = errorsIn(policy);
    expect(errors.length === 0, `${error ?? "valid"}\n${errors.join("\n")}`).toBe(valid);
  });
});

const folders = ["cilium/", "cilium-mixed/"].map((name) => new URL(name, oracle)).filter((folder) => existsSync(folder));

describe.skipIf(folders.length === 0)("policies that Cilium's engine took", () => {
  test.each(folders.map((folder) => [folder.pathname.split("/").at(-2), folder] as const))("%s", (_, folder) => {
    const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
    const refused = names.flatMap((name) => {
      const { policies } = JSON.parse(readFileSync(new URL(name, folder), "utf8")) as { policies: { apiVersion: string }[] };
      const own = policies.filter(({ apiVersion }) => apiVersion === "cilium.io/v2");
      return own.flatMap((policy) => errorsIn(policy)).map((line) => `${name} ${line}`);
    });
    expect(refused).toEqual([]);
    expect(names.length).toBeGreaterThan(90);
  });
});
