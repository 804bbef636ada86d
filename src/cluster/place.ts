/** Where a value stands in its text. Offsets count UTF-16 units from 0. Children are found by key or by index. */
export interface Place {
  /** An entry of a mapping stands where its key does; anything else where its first token does. */
  readonly at: number;
  entry(key: string): Place | undefined;
  item(index: number): Place | undefined;
}

/** A value that was read and where it stands; `place` does its work when it is called. */
export interface TextDocument {
  readonly value: unknown;
  readonly place: () => Place;
}

/** Refuses a text because of what stands at an offset. */
export type Fail = (message: string, offset: number) => never;

/** The deepest nesting that is read, aliases followed: readers recurse, and an attacker's file must not exhaust the stack. */
export const MAX_DEPTH = 256;
