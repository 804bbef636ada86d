import { expect } from "vitest";
import { LiveError } from "../../src/live/liveError.ts";

/** Returns the LiveError that a promise ends with; anything else that happens fails the test. */
export async function failureOf(promise: Promise<unknown>): Promise<LiveError> {
  const error = await promise.then(
    () => new Error("no failure"),
    (thrown) => thrown,
  );
  if (!(error instanceof LiveError)) throw error;
  expect(error.message).not.toContain("\n");
  return error;
}
