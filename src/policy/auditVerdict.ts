import type { Instant } from "../net/time.ts";

/** A connection that a kguardian audit policy was held against (kguardian broker: `/audit/verdicts`). */
export interface AuditVerdict {
  /** Empty for a policy of the whole cluster. */
  readonly policyNamespace: string;
  readonly policyName: string;
  /** `namespace/pod`, or what there is; `?` where the broker does not know. */
  readonly source: string;
  readonly destination: string;
  readonly port: number | undefined;
  readonly protocol: string;
  readonly direction: string;
  readonly verdict: string;
  readonly reason: string;
  readonly time: Instant | undefined;
}
