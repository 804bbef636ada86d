import { expect, test } from "vitest";
import { type ExplainFlags, explain } from "../../src/cli/explain.ts";
import { verdictOf } from "../../src/report/explanation.ts";
import { run, SHOP, sound } from "./program.ts";

/* Law: of every connection of the shop's capture, `explain` of its addresses says what `simulate` says. */

interface Connection {
  readonly source: { readonly ip: string };
  readonly destination: { readonly ip: string };
  readonly via?: { readonly ip: string; readonly port: number; readonly service?: string };
  readonly protocol: string;
  readonly port: number | null;
  readonly icmpType?: number;
  readonly icmpCode?: number;
  readonly verdict: string;
  readonly egress: object;
  readonly ingress: object;
}

function flagsOf(source: string, destination: string, port: string): ExplainFlags {
  return {
    source,
    destination,
    port,
    snapshot: [`${SHOP}/cluster.yaml`],
    filename: [`${SHOP}/network-policies`],
    recursive: false,
    dns: undefined,
    policyMode: "overlay",
    cni: "auto",
    staged: false,
  };
}

test("explain of two addresses says what simulate says of their connection", async () => {
  const { out } = run(["simulate", ...sound, "-f", `${SHOP}/network-policies`, "-o", "json"]);
  const { connections } = JSON.parse(out) as { connections: Connection[] };
  const asked = new Map<string, { flags: ExplainFlags; verdict: string }>();
  for (const { source, destination, via, protocol, port, icmpType, icmpCode, verdict } of connections) {
    const to = via?.service === undefined ? destination.ip : via.ip;
    const text = port === null ? `${protocol}/${icmpType}/${icmpCode}` : `${via?.service === undefined ? port : via.port}/${protocol}`;
    asked.set(`${source.ip} ${to} ${text}`, { flags: flagsOf(source.ip, to, text), verdict });
  }
  expect(asked.size).toBeGreaterThan(30);
  const wrong: string[] = [];
  for (const [name, { flags, verdict }] of asked) {
    const explained = verdictOf(await explain(flags));
    if (explained !== verdict) wrong.push(`${name}: simulate ${verdict}, explain ${explained}`);
  }
  expect(wrong).toEqual([]);
});
