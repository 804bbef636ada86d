import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildSync } from "esbuild";
import { checkAnswer, comparisons } from "./compareSets.ts";
import { makeGenerationWorld } from "./generationWorld.ts";
import { alternate, type Contestant, canMeasure, findProgram, isExecutable, renderResults, warm } from "./lib.ts";
import { type CapturePaths, makeCaptures, mixedPackets, samplePackets } from "./makeCaptures.ts";
import { DUCKDB_PROGRAM, makeFlowLogs } from "./makeFlowLogs.ts";
import { measureStartup } from "./startup.ts";

/*
 * Compares us with a plain C libpcap loop and with other readers, on captures that it makes itself.
 *
 *   npm run bench [-- NAME…] [--rounds N]     NAME: read, simulate, generate, flowlogs, compare, synth, startup, decide
 *                                           (bench/decide.ts); all if none is given
 *
 * A peer that is not installed is named and left out. Exit code 1: one of our own programs failed. Targets missed are shown in
 * the table and do not change the exit code: a busy machine misses them too.
 */

const here = import.meta.dirname;
const build = join(here, "build");
const plugin = join(here, "..", "bin", "kubectl-kguardian");
const yardstick = "count5";
const install = "scripts/install-bench-tools.sh";

interface Bench {
  readonly rounds: number;
  run(rounds: number): void;
}

const benches: Readonly<Record<string, Bench>> = {
  read: { rounds: 5, run: benchRead },
  simulate: { rounds: 5, run: benchSimulate },
  generate: { rounds: 3, run: benchGenerate },
  flowlogs: { rounds: 5, run: benchFlowLogs },
  compare: { rounds: 5, run: benchCompare },
  synth: { rounds: 5, run: benchSynth },
  startup: { rounds: 21, run: benchStartup },
  decide: { rounds: 5, run: benchDecide },
};

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function fail(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
  process.exitCode = 1;
}

/** Builds bench/count5.c unless it is built, or says what is missing. */
function yardstickContestant(path: string): Contestant[] {
  const program = join(build, "count5");
  const source = join(here, "count5.c");
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    const compiler = findProgram("cc") ?? findProgram("gcc") ?? findProgram("clang");
    if (compiler === undefined) {
      say("left out: count5: no C compiler (Debian: apt-get install gcc); there are no ratios without it");
      return [];
    }
    const compiled = spawnSync(compiler, ["-O2", "-o", program, source, "-lpcap"], { encoding: "utf8" });
    if (compiled.status !== 0) {
      const hint = compiled.stderr.includes("pcap") ? `libpcap-dev is missing (${install})` : compiled.stderr.trim();
      say(`left out: count5: ${hint}; there are no ratios without it`);
      return [];
    }
  }
  return [{ name: yardstick, command: [program, path], tells: true }];
}

/** The peer if its program is installed; otherwise says so. */
function peer(program: string, contestant: (path: string) => Contestant): Contestant[] {
  const path = findProgram(program);
  if (path !== undefined) return [contestant(path)];
  say(`left out: ${program}: not installed (${install})`);
  return [];
}

/** Bundles one of our programs as it is shipped: Node would otherwise spend time on the types in every file. */
function bundled(source: string): string | undefined {
  const program = join(build, source.replace(/\.ts$/, ".mjs"));
  const banner = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';
  try {
    const entryPoints = [join(here, source)];
    buildSync({ entryPoints, outfile: program, bundle: true, platform: "node", format: "esm", banner: { js: banner }, logLevel: "silent" });
  } catch (error) {
    fail(`our reader does not build: ${(error as Error).message.split("\n").slice(0, 2).join(" ")}`);
    return undefined;
  }
  return program;
}

/** As bin/kubectl-kguardian starts it. */
const OWN_NODE = [process.execPath, "--single-threaded-gc", "--min-semi-space-size=4", "--v8-pool-size=1"];

/** The reader alone. */
function readerContestant(path: string): Contestant[] {
  const program = bundled("readOnly.ts");
  if (program === undefined) return [];
  return [
    {
      name: "ours, reader alone",
      command: [...OWN_NODE, program, path],
      ratioTarget: 1.2,
      peakTarget: 200,
      tells: true,
      ours: true,
    },
  ];
}

/** The captures, made if need be, read once. */
function captures(): CapturePaths {
  say("captures: bench/build (made once)");
  const paths = makeCaptures({ out: build });
  for (const path of [paths.mixed, paths.small, paths.sample]) warm(path);
  return paths;
}

function compare(title: string, contestants: readonly Contestant[], rounds: number, yardstickName = yardstick): void {
  say(`\n${title}, ${rounds} alternating runs`);
  const results = alternate(contestants, rounds);
  process.stdout.write(renderResults(results, yardstickName));
  for (const { contestant, failure } of results)
    if (contestant.ours && failure !== undefined) fail(`${contestant.name} failed: ${failure}`);
}

function benchRead(rounds: number): void {
  const paths = captures();
  const parts = { [paths.mixed]: samplePackets / mixedPackets };
  for (const [title, path] of [
    ["read, 1.03 GB of mixed packets", paths.mixed],
    ["read, 3 million small packets", paths.small],
  ]) {
    const contestants = [
      ...yardstickContestant(path),
      ...readerContestant(path),
      ...peer("tcpdump", (program) => ({ name: "tcpdump to nowhere", command: [program, "-r", path, "-w", "/dev/null", "ip"] })),
    ];
    if (path in parts) {
      const command = (program: string): string[] => [program, "-r", paths.sample, "-n", "-q", "-z", "conv,tcp"];
      contestants.push(
        ...peer("tshark", (program) => ({ name: "tshark conv,tcp", command: command(program), slow: true, part: parts[path] })),
      );
    } else {
      const command = [process.execPath, "--no-deprecation", join(here, "pcapParserCount.ts"), path];
      contestants.push({ name: "npm pcap-parser, Map", command, slow: true, tells: true });
    }
    compare(title, contestants, rounds);
  }
}

function benchSimulate(rounds: number): void {
  if (!isExecutable(plugin)) {
    fail(`${plugin} is missing: npm run build`);
    return;
  }
  const paths = captures();
  for (const [title, path] of [
    ["simulate, 1.03 GB of mixed packets", paths.mixed],
    ["simulate, 3 million small packets", paths.small],
  ]) {
    const command = [plugin, "simulate", "--pcap", path, "--snapshot", paths.snapshot, "-f", paths.policies, "-o", "json"];
    const simulate: Contestant = { name: "simulate", command, exitCodes: [0, 1], ratioTarget: 1.6, peakTarget: 200, ours: true };
    compare(title, [...yardstickContestant(path), simulate], rounds);
  }
}

/** `gen networkpolicy` on 5,000 pods and a million distinct connections, beside a program that only parses each line of the log. */
function benchGenerate(rounds: number): void {
  if (!isExecutable(plugin)) {
    fail(`${plugin} is missing: npm run build`);
    return;
  }
  say("a cluster and its flow log: bench/build (made once)");
  const { snapshot, flows } = makeGenerationWorld(build);
  warm(flows);
  const directory = join(build, "policies-generated");
  const command = [plugin, "gen", "networkpolicy", "-A", "--flows", flows, "--snapshot", snapshot, "--output-dir", directory, "-o", "name"];
  const contestants: Contestant[] = [
    { name: "JSON.parse each line", command: [process.execPath, join(here, "parseLines.ts"), flows], tells: true },
    { name: "gen networkpolicy", command, peakTarget: 1000, ours: true },
  ];
  const title = "generate, 5,000 pods, 1,000,000 distinct connections (goal: 10 s)";
  compare(title, contestants, rounds, contestants[0].name);
}

/** Flow logs into the flow table, beside a bare JSON.parse of the same lines and DuckDB on one thread, which groups the same files. */
function benchFlowLogs(rounds: number): void {
  const program = bundled("readLogs.ts");
  if (program === undefined) return;
  say("flow logs: bench/build (made once)");
  const { vpc, vpcGzip, vpcParquet, hubble, duckdb } = makeFlowLogs(build);
  const ours = (name: string, path: string, more: Partial<Contestant> = {}): Contestant => {
    warm(path);
    return { name, command: [...OWN_NODE, program, path], tells: true, ours: true, ...more };
  };
  const peerQuery = (name: string, query: string): Contestant[] => {
    if (duckdb === undefined) return [];
    return [
      {
        name: `DuckDB, ${name}`,
        command: ["sh", "-c", 'cd "$0" && exec "$@"', duckdb, process.execPath, "-e", DUCKDB_PROGRAM, query],
        tells: true,
      },
    ];
  };
  if (duckdb === undefined) say("left out: DuckDB, and with it the Parquet file: npm cannot install it");
  const grouped = (from: string) =>
    `SELECT count(*) FROM (SELECT srcaddr, dstaddr, srcport, dstport, protocol, sum(packets), sum(bytes), min(start), max("end") FROM ${from} GROUP BY ALL)`;
  const contestants = [
    ours("ours, text", vpc),
    ours("ours, text in gzip", vpcGzip),
    ...(vpcParquet === undefined ? [] : [ours("ours, Parquet", vpcParquet)]),
    ...peerQuery("text", grouped(`read_csv('${vpc}', delim=' ', header=true)`)),
    ...peerQuery("Parquet", grouped(`'${vpcParquet}'`)),
  ];
  compare("AWS VPC flow logs, 1,000,000 lines (goal: text in 2 s, Parquet faster)", contestants, rounds, contestants[0].name);
  const parse: Contestant = { name: "JSON.parse each line", command: [...OWN_NODE, program, hubble, "parse"], tells: true };
  const events = [
    parse,
    ours("ours, Hubble", hubble, { ratioTarget: 1.5 }),
    ...peerQuery(
      "Hubble",
      `SELECT count(*) FROM (SELECT flow.IP.source, flow.IP.destination, flow.l4, count(*) FROM read_json('${hubble}', format='newline_delimited') GROUP BY ALL)`,
    ),
  ];
  compare("Hubble, 340,000 events", events, rounds, parse.name);
}

/** `matrix` and `diff` on whole policy sets. Each command's answer is looked at before it is timed. */
function benchCompare(rounds: number): void {
  if (!isExecutable(plugin)) {
    fail(`${plugin} is missing: npm run build`);
    return;
  }
  for (const { title, contestants, yardstick } of comparisons(plugin, build, say)) {
    const good = contestants.filter((each) => !each.ours || answers(each));
    compare(title, good, rounds, yardstick);
  }
}

/** A capture of synthetic conversations, beside a plain write of as many bytes into the same file; then `measure` alone. */
function benchSynth(rounds: number): void {
  const program = bundled("writeCapture.ts");
  if (program === undefined) return;
  const path = join(build, "synth.pcapng");
  const command = (mode: string) => [...OWN_NODE, program, path, "1000", mode];
  const contestants: Contestant[] = [
    { name: "plain write", command: command("plain"), tells: true },
    { name: "ours", command: command("capture"), wallTarget: 5, peakTarget: 200, tells: true, ours: true },
    { name: "ours, measure 200,000 alone", command: command("measure"), tells: true, ours: true },
  ];
  compare("synth, 1 GB of mixed conversations (goal: 200 MB/s)", contestants, rounds, contestants[0].name);
  rmSync(path, { force: true });
}

function answers(contestant: Contestant): boolean {
  try {
    say(`  ${checkAnswer(contestant, build)}`);
    return true;
  } catch (error) {
    fail(`${contestant.name} failed: ${(error as Error).message}`);
    return false;
  }
}

/** The checkout's program and, where KGUARDIAN_PROGRAM names one, a packaged one. */
function benchStartup(rounds: number): void {
  const packaged = process.env.KGUARDIAN_PROGRAM;
  const programs = [{ name: "checkout", path: plugin }, ...(packaged === undefined ? [] : [{ name: "packaged", path: packaged }])];
  const missing = programs.find(({ path }) => !isExecutable(path));
  if (missing !== undefined) {
    fail(`${missing.path} is missing: npm run build`);
    return;
  }
  say(`\nstartup, ${rounds} alternating runs`);
  try {
    process.stdout.write(measureStartup(programs, rounds));
  } catch (error) {
    fail((error as Error).message);
  }
}

function benchDecide(rounds: number): void {
  const { status } = spawnSync(process.execPath, [join(here, "decide.ts"), `--rounds=${rounds}`], { stdio: "inherit" });
  if (status !== 0) fail(`decide failed: exit code ${status}`);
}

function main(): void {
  const { values, positionals } = parseArgs({ options: { rounds: { type: "string" } }, allowPositionals: true });
  const names = positionals.length > 0 ? positionals : Object.keys(benches);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  const unknown = names.find((name) => !Object.hasOwn(benches, name));
  if (unknown !== undefined || (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0))) {
    const wrong = unknown !== undefined ? `no bench \`${unknown}\`` : `--rounds must be a whole number above 0, not \`${values.rounds}\``;
    process.stderr.write(`bench: ${wrong}; there are ${Object.keys(benches).join(", ")}\n`);
    process.exitCode = 2;
    return;
  }
  mkdirSync(build, { recursive: true });
  for (const name of names) {
    if (name !== "startup" && name !== "decide" && !canMeasure()) {
      fail(`${name} needs /usr/bin/time, which is missing: apt-get install time, or ${install}`);
      continue;
    }
    benches[name].run(rounds ?? benches[name].rounds);
  }
}

main();
