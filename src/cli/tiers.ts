import { setFlagsFromString } from "node:v8";

/** From about so many rows or connections on, what goes over them once gains more from the best compiler than its threads cost. */
export const MANY_ROWS = 1 << 17;

/** From about so many pods and policies on, comparing them all goes on long enough, too. */
export const MANY_OBJECTS = 1000;

/**
 * Says whether the work that follows goes on long enough for V8's best and slowest compiler. Reading does; what runs once
 * over tens of thousands of rows ends before the compiling has paid (measured: 0.2 s of a run's 1.3 s of processor time). What is
 * compiled stays so: V8 only asks the flag when it is about to compile more.
 */
export function expectLongWork(isLong: boolean): void {
  setFlagsFromString(isLong ? "--opt" : "--no-opt");
}

/**
 * Lets V8 mark its heap in one go once that is full, not in steps beforehand: nobody waits for an answer meanwhile, and the steps cost
 * more than they spread (measured: 2.5 % of a run's processor time, 10 MB). Said here and not on the command line, where it would cost
 * Node's code cache (15 ms).
 */
export function collectAtOnce(): void {
  setFlagsFromString("--no-incremental-marking");
}

/**
 * Lets V8's heap double before it is collected, not grow several times over: of a million connections most that is made lies dead soon
 * (measured: 0.9 GB in place of 1.2 GB, in the same time).
 */
export function growSlowly(): void {
  setFlagsFromString("--heap-growing-percent=100");
}
