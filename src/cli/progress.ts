import type { SingleBar } from "cli-progress";

/** Work shorter than this shows no bar: it would only flicker. */
const DELAY_MS = 1000;
const REDRAW_MS = 100;

/** A progress bar on a terminal for long work; nothing in a pipe, nor on a terminal that cannot go back on a line (TERM=dumb). */
export class Progress {
  readonly #label: string;
  readonly #total: number;
  readonly #started = performance.now();
  #drawn = 0;
  #bar: SingleBar | undefined;
  #loading = false;

  constructor(label: string, total: number) {
    this.#label = label;
    this.#total = total;
  }

  update(done: number): void {
    if (!process.stderr.isTTY || process.env.TERM === "dumb") return;
    const now = performance.now();
    if (now - this.#started < DELAY_MS || now - this.#drawn < REDRAW_MS) return;
    this.#drawn = now;
    if (this.#bar === undefined) void this.#load();
    this.#bar?.update(Math.min(done, this.#total));
  }

  stop(): void {
    this.#bar?.stop();
    this.#loading = true;
  }

  async #load(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    const { default: cliProgress } = await import("cli-progress");
    this.#bar = new cliProgress.SingleBar({
      format: `${this.#label} {bar} {percentage} %  {eta_formatted} left`,
      stream: process.stderr,
      clearOnComplete: true,
      hideCursor: true,
    });
    this.#bar.start(this.#total, 0);
  }
}
