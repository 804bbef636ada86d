export { DROPPED, ESTABLISHED, UNKNOWN } from "../kernel/constants.ts";

/** How a connection ended, by what the record itself says. The order is that of `observed`: the first that is not zero. */
export const OUTCOMES = ["established", "refused", "unanswered", "dropped", "unknown"] as const;
export type ObservedOutcome = (typeof OUTCOMES)[number];
