/** Returns a text that parts of policies share when they say the same, wherever they are written. */
export function contentKey(part: unknown): string {
  return JSON.stringify(part, (key, value) => (key === "ref" ? undefined : typeof value === "bigint" ? `${value}n` : value));
}
