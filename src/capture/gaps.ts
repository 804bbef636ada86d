/** Why less was seen than happened: some of it never reached the log, or not one by one. */
export type GapKind = "lost" | "unread" | "truncated" | "rate-limited" | "sampled" | "aggregated" | "partial";

/** What an input tells of its own blind spots. */
export interface Gap {
  readonly kind: GapKind;
  /** How many records, events or intervals; null where the input does not count them. */
  readonly count: number | null;
  /** One sentence for people. */
  readonly message: string;
}
