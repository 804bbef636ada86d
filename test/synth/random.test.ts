import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mix, Random, WeightedChoice } from "../../src/synth/random.ts";

const COUNT = 40_000;
const drawn = (draw: (random: Random) => number, seed = 5) => {
  const random = new Random(seed, "test");
  return Array.from({ length: COUNT }, () => draw(random));
};
const mean = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
const deviation = (numbers: readonly number[]) => {
  const middle = mean(numbers);
  return Math.sqrt(mean(numbers.map((number) => (number - middle) ** 2)));
};

describe("random numbers", () => {
  it("are the same of a seed and a purpose, and others of others", () => {
    const words = (seed: number, purpose: string) => {
      const random = new Random(seed, purpose);
      return Array.from({ length: 8 }, () => random.word());
    };
    expect(words(1, "a")).toEqual(words(1, "a"));
    const all = [words(1, "a"), words(2, "a"), words(1, "b"), words(2 ** 32 + 1, "a"), words(0, "")];
    expect(new Set(all.map(String)).size).toBe(all.length);
  });

  it("have the stated distributions", () => {
    const uniform = drawn((random) => random.uniform());
    expect(mean(uniform)).toBeCloseTo(0.5, 1.5);
    expect(deviation(uniform)).toBeCloseTo(Math.sqrt(1 / 12), 1.5);
    // An exponential distribution has its mean as deviation.
    const gaps = drawn((random) => random.exponential(3));
    expect(mean(gaps) / 3).toBeCloseTo(1, 1.3);
    expect(deviation(gaps) / 3).toBeCloseTo(1, 1.3);
    // The logarithm of a log-normal one is normal, around the logarithm of the median.
    const logarithms = drawn((random) => Math.log(random.logNormal(800, 1.2)));
    expect(mean(logarithms)).toBeCloseTo(Math.log(800), 1);
    expect(deviation(logarithms)).toBeCloseTo(1.2, 1);
    const skewness = mean(logarithms.map((each) => ((each - Math.log(800)) / 1.2) ** 3));
    expect(Math.abs(skewness)).toBeLessThan(0.1);
  });

  it("choose by weight, and never what has none", () => {
    const choice = new WeightedChoice([
      ["a", 1],
      ["never", 0],
      ["b", 3],
    ]);
    const random = new Random(1, "choice");
    const chosen = Array.from({ length: 8000 }, () => choice.choose(random));
    expect(chosen).not.toContain("never");
    expect(chosen.filter((each) => each === "b").length / chosen.length).toBeCloseTo(0.75, 1.5);
  });

  it("mix numbers without two alike", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        expect(mix(a) === mix(b)).toBe((a | 0) === (b | 0));
      }),
    );
  });
});
