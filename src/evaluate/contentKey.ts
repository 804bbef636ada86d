import type { Policy } from "../policy/model.ts";

/** Returns a text that parts of policies share when they say the same, wherever they are written. */
export function contentKey(part: unknown): string {
  return JSON.stringify(part, (key, value) => (key === "ref" ? undefined : typeof value === "bigint" ? `${value}n` : value));
}

const policyKeys = new WeakMap<Policy, string>();

/** Returns the same of a policy, which several ask for. */
export function policyKey(policy: Policy): string {
  let key = policyKeys.get(policy);
  if (key === undefined) policyKeys.set(policy, (key = contentKey(policy)));
  return key;
}
