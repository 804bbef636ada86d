import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ManifestObject, readManifest } from "../../src/cluster/manifest.ts";
import { type Cluster, readCluster } from "../../src/cluster/snapshot.ts";
import type { ProfileSpec, TrafficProfile } from "../../src/synth/profile.ts";
import { type Measured, prepareTraffic, type Traffic, type TrafficOptions } from "../../src/synth/traffic.ts";

const path = fileURLToPath(new URL("../../fixtures/shop/cluster.yaml", import.meta.url));

export const objects: readonly ManifestObject[] = readManifest(readFileSync(path, "utf8"), "cluster.yaml");
export const shop: Cluster = readCluster(objects);
/** 2026-11-16T08:00:00Z, when all pods of the shop live. */
export const START = 1_794_816_000;

export function profileOf(spec: ProfileSpec): TrafficProfile {
  return { apiVersion: "kguardian.dev/v1alpha1", kind: "TrafficProfile", metadata: { name: "test" }, spec };
}

/** Prepares the traffic of a profile, which must have some, in the shop or another cluster. */
export function prepare(profile: TrafficProfile, options: Partial<TrafficOptions> = {}, cluster = shop): Traffic {
  const traffic = prepareTraffic(cluster, profile, { seed: 1, startSeconds: START, ...options });
  if ("isEmpty" in traffic) throw new Error(`no traffic: ${traffic.warnings.join("; ")}`);
  return traffic;
}

export function made(profile: TrafficProfile, options: Partial<TrafficOptions> = {}, cluster = shop): readonly Measured[] {
  return [...prepare(profile, options, cluster).conversations()];
}
