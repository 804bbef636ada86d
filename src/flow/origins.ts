/** Origin numbers fit the high half of a row's KIND. Whatever comes after shares the last: it may then be counted once too little. */
const MOST = 0xfffe;

/**
 * Numbers who reported what: 0 stands for captures, every reporter of every log format has one of its own. What two reporters say
 * of one connection is two views of it; what one reporter says of it in several records adds up.
 */
export class Origins {
  readonly #numbers = new Map<string, number>();
  readonly #formats: string[] = [""];

  /** Returns the number of a reporter of a format. */
  of(format: string, reporter: string): number {
    const key = `${format} ${reporter}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = Math.min(this.#formats.length, MOST);
      this.#numbers.set(key, number);
      this.#formats[number] = format;
    }
    return number;
  }

  /** Returns the format that an origin is of; empty for captures. */
  formatOf(origin: number): string {
    return this.#formats[origin] ?? "";
  }

  get size(): number {
    return this.#formats.length;
  }
}
