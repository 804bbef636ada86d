/** Returns a number with thousands separated, as people read it: 48,210. */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}
