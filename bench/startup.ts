import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childEnvironment, median, renderTable } from "./lib.ts";

/*
 * What every call pays before its work begins: commands that do next to nothing, beside a bare `node -e 0`.
 */

const SHOP = join(import.meta.dirname, "..", "fixtures/shop");

/** Prints its port; knows one pod and nothing else, so that what is timed is the program's own share of a call to a cluster. */
const API_SERVER = `
const pod = { metadata: { name: "web", namespace: "shop" }, spec: {}, status: { phase: "Running", podIP: "10.0.0.1" } };
const server = require("node:http").createServer(({ url }, response) => {
  const path = url.split("?")[0];
  response.setHeader("content-type", "application/json");
  if (path.includes("configmaps")) response.statusCode = 404;
  if (path === "/api/v1") response.end('{"kind":"APIResourceList","groupVersion":"v1","resources":[]}');
  else if (path === "/apis") response.end('{"kind":"APIGroupList","groups":[]}');
  else response.end(JSON.stringify({ kind: "List", apiVersion: "v1", metadata: {}, items: path.endsWith("/pods") ? [pod] : [] }));
});
server.listen(0, "127.0.0.1", () => require("node:fs").writeFileSync(process.argv[1], String(server.address().port)));
`;

interface Case {
  readonly name: string;
  readonly args: readonly string[];
  /** Most milliseconds of wall time that the packaged program may take, in the median. */
  readonly goal: number;
}

function cases(kubeconfig: string): Case[] {
  const simulate = ["--pcap", `${SHOP}/monday.pcapng`, "--snapshot", `${SHOP}/cluster.yaml`, "-f", `${SHOP}/network-policies-fixed`];
  return [
    { name: "version", args: ["version"], goal: 100 },
    { name: "--help", args: ["--help"], goal: 100 },
    { name: "simulate --help", args: ["simulate", "--help"], goal: 100 },
    { name: "completion of a flag", args: ["__complete", "simulate", "-"], goal: 100 },
    { name: "simulate, the shop", args: ["simulate", ...simulate], goal: 200 },
    { name: "snapshot of a cluster with one pod", args: ["snapshot", "--kubeconfig", kubeconfig], goal: 250 },
  ];
}

/** Runs every command of every program in turn and returns a table. Throws where one does not end well. */
export function measureStartup(programs: readonly { readonly name: string; readonly path: string }[], rounds: number): string {
  const folder = mkdtempSync(join(tmpdir(), "kguardian-startup-"));
  const server = spawn(process.execPath, ["-e", API_SERVER, join(folder, "port")], { stdio: "ignore" });
  try {
    const kubeconfig = join(folder, "kubeconfig");
    writeFileSync(kubeconfig, kubeconfigOf(waitFor(join(folder, "port"))));
    const node = { name: "node -e 0", command: [process.execPath, "-e", "0"], goal: undefined, millis: [] as number[] };
    const commands = programs.flatMap((program) =>
      cases(kubeconfig).map(({ name, args, goal }) => ({
        name: `${program.name}: ${name}`,
        command: [program.path, ...args],
        goal: program.name === "packaged" ? goal : undefined,
        millis: [] as number[],
      })),
    );
    for (let round = 0; round < rounds; round++) {
      for (const { name, command, millis } of [node, ...commands]) {
        const begun = performance.now();
        const { status, stderr } = spawnSync(command[0], command.slice(1), { stdio: ["ignore", "ignore", "pipe"], env: childEnvironment });
        millis.push(performance.now() - begun);
        if (status !== 0) throw new Error(`${name}: exit code ${status}: ${String(stderr).trim()}`);
      }
    }
    const rows = [node, ...commands].map(({ name, goal, millis }) => {
      const ratio = median(millis.map((each, round) => each / node.millis[round]));
      const target = goal === undefined ? "" : `≤ ${goal}: ${median(millis) <= goal ? "met" : "MISSED"}`;
      return [name, median(millis).toFixed(0), Math.min(...millis).toFixed(0), ratio.toFixed(2), target];
    });
    return renderTable([["", "median ms", "least ms", "ratio to node", "target"], ...rows]);
  } finally {
    server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Waits until a file has something to read, ten seconds at most. */
function waitFor(path: string): string {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; tries < 200; tries++) {
    try {
      const text = readFileSync(path, "utf8");
      if (text !== "") return text;
    } catch {
      // Not there yet.
    }
    Atomics.wait(sleeper, 0, 0, 50);
  }
  throw new Error("the API server of the benchmark did not start");
}

function kubeconfigOf(port: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "bench",
    clusters: [{ name: "bench", cluster: { server: `http://127.0.0.1:${port}` } }],
    users: [{ name: "bench", user: { token: "none" } }],
    contexts: [{ name: "bench", context: { cluster: "bench", user: "bench" } }],
  });
}
