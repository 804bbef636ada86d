import type { Truth } from "../cluster/selector.ts";

/* Three-valued logic (Kleene): what a missing fact leaves open stays open unless the rest decides. */

export function negate(truth: Truth): Truth {
  return truth === "unknown" ? truth : !truth;
}

export function and(a: Truth, b: Truth): Truth {
  return a === false || b === false ? false : a === true && b === true ? true : "unknown";
}

/** Returns whether something holds of one item at least; of none it does not. */
export function someTruth<T>(items: readonly T[], truthOf: (item: T) => Truth): Truth {
  let truth: Truth = false;
  for (const item of items) {
    const answer = truthOf(item);
    if (answer === true) return true;
    if (answer === "unknown") truth = answer;
  }
  return truth;
}

/** Returns whether something holds of every item; of none it does. */
export function everyTruth<T>(items: readonly T[], truthOf: (item: T) => Truth): Truth {
  let truth: Truth = true;
  for (const item of items) {
    truth = and(truth, truthOf(item));
    if (truth === false) return false;
  }
  return truth;
}
