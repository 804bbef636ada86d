import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { accessSync, constants, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/* Runs the flow tools of Debian on a capture and writes what they say of it to files. */

const execute = promisify(execFile);
const ENVIRONMENT = { ...process.env, TZ: "UTC", PATH: [process.env.PATH, "/usr/sbin", "/sbin"].join(delimiter) };
const MOST_OUTPUT = 1 << 28;

export const PROGRAMS = ["nfdump", "nfpcapd", "nfcapd", "softflowd", "argus", "ra"] as const;

/** Returns the programs that are not installed. */
export function missingPrograms(): readonly string[] {
  const folders = ENVIRONMENT.PATH.split(delimiter);
  return PROGRAMS.filter((program) => !folders.some((folder) => isExecutable(join(folder, program))));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What a tool made of a capture: the path of its log, or why it refused. */
export type Outcome = { readonly path: string } | { readonly refusal: string };

async function run(program: string, ...parameters: readonly string[]): Promise<{ stdout: string; stderr: string; code: number }> {
  try {
    return { ...(await execute(program, parameters, { env: ENVIRONMENT, maxBuffer: MOST_OUTPUT })), code: 0 };
  } catch (error) {
    const { stdout = "", stderr = "", code } = error as { stdout?: string; stderr?: string; code?: unknown };
    if (typeof code !== "number") throw error;
    return { stdout, stderr, code };
  }
}

/** nfpcapd makes flow records of the capture, nfdump prints them. */
export async function nfdump(capture: string, folder: string, format: "csv" | "json"): Promise<Outcome> {
  const store = join(folder, `nfpcapd-${format}`);
  mkdirSync(store);
  const made = await run("nfpcapd", "-r", capture, "-l", store);
  if (made.code !== 0) return { refusal: refusalOf(made.stdout + made.stderr) };
  return { path: await print(store, join(folder, `nfpcapd.${format}`), format) };
}

/** softflowd exports NetFlow 9 to nfcapd over loopback, nfdump prints what arrived. */
export async function softflowd(capture: string, folder: string): Promise<Outcome> {
  const store = join(folder, "nfcapd");
  mkdirSync(store);
  const port = await freePort();
  const collector = spawn("nfcapd", ["-b", "127.0.0.1", "-p", String(port), "-w", store], {
    env: ENVIRONMENT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(collector, "exit");
  try {
    await started(collector);
    // Without -A times wrap around 2^32 milliseconds: softflowd began, by its own clock, after the capture.
    const sent = await run(
      "softflowd",
      ...["-r", capture, "-n", `127.0.0.1:${port}`, "-v", "9", "-A", "milli", "-m", "65536"],
      ...["-d", "-c", "none", "-p", join(folder, "softflowd.pid")],
    );
    if (sent.code !== 0) return { refusal: refusalOf(sent.stdout + sent.stderr) };
    await sleep(300);
  } finally {
    collector.kill("SIGTERM");
    await ended;
  }
  return { path: await print(store, join(folder, "softflowd.json"), "json") };
}

async function print(store: string, path: string, format: "csv" | "json"): Promise<string> {
  const { stdout, stderr, code } = await run("nfdump", "-R", store, "-o", format);
  if (code !== 0) throw new Error(`nfdump ended with ${code}: ${stderr}`);
  writeFileSync(path, stdout);
  return path;
}

/** argus makes flow records of the capture, ra prints them. On a busy machine argus was seen to end with nothing written: then once more. */
export async function argus(capture: string, folder: string, tries = 3): Promise<Outcome> {
  const store = join(folder, `argus-${tries}`);
  // -F: not the daemon's configuration.
  const made = await run("argus", "-F", "/dev/null", "-r", capture, "-w", store);
  const said = made.stdout + made.stderr;
  if (/ArgusOpenInputPacketFile/.test(said)) return { refusal: refusalOf(said) };
  const fields = "stime ltime proto saddr sport dir daddr dport spkts dpkts sbytes dbytes state flgs".split(" ");
  const { stdout, stderr, code } = await run("ra", "-F", "/dev/null", "-r", store, "-n", "-u", "-c", ",", "-s", ...fields);
  if (code !== 0) throw new Error(`ra ended with ${code}: ${stderr}`);
  if (stdout === "" && tries > 1) return argus(capture, folder, tries - 1);
  const path = join(folder, "ra.csv");
  writeFileSync(path, stdout);
  return { path };
}

/** Why a tool refused, by the words that all versions share. */
function refusalOf(said: string): string {
  const reason =
    /unsupported (?:data ?link|device) type \d+|unknown (?:packet )?file format|truncated (?:pcapng )?dump file|stream empty|invalid packet capture length \d+|block in pcapng dump file has a length of \d+/i.exec(
      said,
    );
  return reason === null ? said.trim().slice(0, 200) : reason[0].toLowerCase();
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

/** Waits until nfcapd says that it listens; what it says after that is of no interest. */
async function started(collector: ChildProcess): Promise<void> {
  let said = "";
  await new Promise<void>((resolve, reject) => {
    const hear = (words: Buffer) => {
      said += words;
      if (said.includes("Startup nfcapd")) resolve();
    };
    collector.stdout!.on("data", hear);
    collector.stderr!.on("data", hear);
    collector.once("exit", (code) => reject(new Error(`nfcapd ended with ${code}: ${said}`)));
  });
}
