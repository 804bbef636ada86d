import fc from "fast-check";
import { PORTS, some } from "./worlds.ts";

/*
 * What the random objects of all dialects share: how their fields are drawn, and the names and labels that they refer to. Each
 * arbitrary of an object gives a function from a name to the object.
 */

export type Named = (name: string) => { readonly apiVersion: string; readonly kind: string };

export const list = <T>(of: fc.Arbitrary<T>, maxLength = 2, minLength = 1) => fc.array(of, { minLength, maxLength });
export const unique = <T>(values: readonly T[], maxLength = 2) => fc.uniqueArray(some(values), { minLength: 1, maxLength });
/** Fields that are there every second time, and every fourth. */
export const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined, freq: 2 });
export const seldom = <T>(of: fc.Arbitrary<T>) => fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, of);
/** Leaves out fields without a value, as objects are written. */
export const given = (fields: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

export const NODE_LABELS = { role: ["control", "worker"] };
export const ACCOUNTS = ["sa-a", "sa-b"];
export const ACCOUNT_LABELS = { grade: ["x", "y"] };
/** As DNS answers write them, in whatever case and with a final dot or without. */
export const NAMES_OF_HOSTS = ["example.com", "A.Example.com.", "x.a.example.com", "api.other.org"];
/** Services by name and namespace; rules refer to one that is not there, too. */
export const SERVICES = [
  { name: "s0", namespace: "a" },
  { name: "s1", namespace: "b" },
] as const;
export const servicePlace = some([...SERVICES, ...SERVICES, { name: "s0", namespace: "b" }]);
export const SERVICE_LABELS = { exposed: ["yes"] };
export const inRange = fc.tuple(some(PORTS), some(PORTS)).filter(([a, b]) => a !== b);

/** Policies meet where their subjects do: everything, often. */
export const often = <T, U>(everything: T, of: fc.Arbitrary<U>): fc.Arbitrary<T | U> => fc.oneof(fc.constant(everything), of);
export const HOMES = ["a", "a", "b", "b", "c"];
export const HTTP_PATHS = ["/a", "/b", "/a/c"];
