import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type GenerateFlags, generatePolicies } from "../../src/cli/generate.ts";
import { simulate } from "../../src/cli/simulate.ts";
import { POLICY_TYPES, type PolicyType } from "../../src/generate/dialect.ts";
import { formatAddress } from "../../src/net/address.ts";
import { generationFiles } from "../../src/report/generationReport.ts";

/*
 * Policies from every real capture and from what the recorded broker world really did: what was learned from is allowed when the
 * written files are simulated, each workload that was learned of has a policy, every rule is used, every probe is denied or explained.
 */

const shared = fileURLToPath(new URL("../../../shared/", import.meta.url));
const captures = join(shared, "captures/pcap");
const folder = mkdtempSync(join(tmpdir(), "kguardian-generate-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Captures that hold nothing of pods, or are none. */
const WITHOUT_PODS = /^(?:23|24|25)-/;

interface Source {
  readonly pcap: readonly string[];
  readonly flows: readonly string[];
  readonly snapshot: readonly string[];
}

const sources: [string, () => Source][] = !existsSync(captures)
  ? []
  : readdirSync(captures)
      .filter((name) => /\.pcap(?:ng)?(?:\.gz|\.zst)?$/.test(name) && !WITHOUT_PODS.test(name))
      .map((name) => [name, () => ({ pcap: [join(captures, name)], flows: [], snapshot: [join(captures, "world.yaml")] })]);
if (sources.length > 0)
  sources.push(["the broker's world", () => ({ pcap: [], flows: [brokerRecords()], snapshot: [join(shared, "broker/world.json")] })]);

/** What really happened in the broker's world, as records. Returns the file. */
function brokerRecords(): string {
  const truth = JSON.parse(readFileSync(join(shared, "broker/truth.json"), "utf8"));
  const world = JSON.parse(readFileSync(join(shared, "broker/world.json"), "utf8"));
  const pods = new Map<string, string>(
    truth.deadPods.map((pod: { namespace: string; name: string; ip: string }) => [`${pod.namespace}/${pod.name}`, pod.ip]),
  );
  const services = new Map<string, string>();
  for (const { kind, metadata, spec, status } of world.items) {
    if (kind === "Pod") pods.set(`${metadata.namespace}/${metadata.name}`, status.podIP);
    if (kind === "Service") services.set(`${metadata.namespace}/${metadata.name}`, spec.clusterIP);
  }
  const addressOf = (end: string) =>
    end.startsWith("ip:") ? end.slice(3) : end.startsWith("svc:") ? services.get(end.slice(4)) : pods.get(end);
  const lines = truth.flows.map(
    ({ src, dst, proto, port, verdict }: { src: string; dst: string; proto: string; port: number; verdict: string }) =>
      JSON.stringify({
        srcIp: addressOf(src),
        dstIp: addressOf(dst),
        protocol: proto,
        ...(proto === "ICMP" ? { icmpType: 8 } : { dstPort: port }),
        verdict: verdict === "ALLOW" ? "allow" : "drop",
        ...(src.includes(":") ? {} : { srcPod: src }),
        ...(dst.includes(":") ? {} : { dstPod: dst }),
      }),
  );
  const path = join(folder, "broker.jsonl");
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

const flagsOf = (source: Source, type: PolicyType): GenerateFlags => ({
  ...source,
  namespace: "default",
  cni: "auto",
  name: undefined,
  all: false,
  allNamespaces: true,
  type,
  clusterWide: false,
  defaultDeny: false,
  l7: false,
  fqdn: false,
  includeFailed: false,
  perPod: false,
  dryRun: "true",
  merge: undefined,
  widen: undefined,
  minWindow: undefined,
  minConnections: undefined,
});

describe.each(sources)("policies from %s", (name, source) => {
  test.each(POLICY_TYPES)("%s", async (type) => {
    const read = source();
    const result = await generatePolicies(flagsOf(read, type));
    const { policies, proof, gathered } = result.generation;
    expect(proof.failures).toEqual([]);
    expect(proof).toMatchObject({ allowed: proof.learned, used: proof.rules, denied: proof.probes - proof.explained.length });
    expect(policies.length).toBeGreaterThan(0);
    expect(new Set(policies.map(({ learned }) => learned?.workload.key))).toEqual(new Set(gathered.workloads.keys()));
    const path = join(folder, `${name.replace(/\W+/g, "-")}-${type}.yaml`);
    writeFileSync(
      path,
      generationFiles(result)
        .map(({ text }) => text)
        .join("---\n"),
    );
    const { simulation } = await simulate({
      ...read,
      namespace: "default",
      filename: [path],
      recursive: false,
      policyMode: "overlay",
      cni: "auto",
      staged: false,
    });
    const keyOf = (sim: typeof simulation, i: number) => {
      const { sourceAddress, destinationAddress, via } = sim.ends(i);
      return [
        formatAddress(sourceAddress),
        formatAddress(destinationAddress),
        via?.address,
        via?.port,
        sim.connections.protocol(i),
        sim.ports[i],
      ].join();
    };
    const allowed = new Set(
      Array.from({ length: simulation.connections.size }, (_, i) => i)
        .filter((i) => simulation.verdicts[i] === 0)
        .map((i) => keyOf(simulation, i)),
    );
    const denied = gathered.learned.map((i) => keyOf(result.generation.simulation, i)).filter((key) => !allowed.has(key));
    expect(denied).toEqual([]);
  });
});

test.skipIf(existsSync(captures))("the captures are not beside this checkout: nothing was generated from them", () => {});
