import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Random } from "./random.ts";

/** DuckDB for Node, installed into bench/build when the bench wants it: 100 MB that nothing else needs. */
const DUCKDB = "@duckdb/node-api@1.5.6-r.1";

const RECORDS = 1_000_000;
const EVENTS = 340_000;
const SEED = 7;

export interface FlowLogPaths {
  readonly vpc: string;
  readonly vpcGzip: string;
  /** Undefined where DuckDB, which writes it, cannot be had. */
  readonly vpcParquet: string | undefined;
  readonly hubble: string;
  /** The folder with DuckDB in its node_modules. */
  readonly duckdb: string | undefined;
}

/** Makes the logs, if they are not there: 1,000,000 lines of AWS VPC flow logs in three dresses, 340,000 Hubble events. */
export function makeFlowLogs(out: string): FlowLogPaths {
  const vpc = join(out, "vpc.log");
  const vpcGzip = join(out, "vpc.log.gz");
  const hubble = join(out, "hubble.jsonl");
  if (!existsSync(vpc)) makeVpc(vpc);
  if (!existsSync(vpcGzip)) writeFileSync(vpcGzip, gzipSync(readFileSync(vpc)));
  if (!existsSync(hubble)) makeHubble(hubble);
  const duckdb = installDuckDb(out);
  return {
    vpc,
    vpcGzip,
    vpcParquet: duckdb === undefined ? undefined : makeParquet(duckdb, vpc, join(out, "vpc.parquet")),
    hubble,
    duckdb,
  };
}

/** Writes lines a batch at a time, to a name of its own until the file is whole. */
function writeLines(path: string, lines: Iterable<string>): void {
  const file = openSync(`${path}.part`, "w");
  let batch: string[] = [];
  const flush = () => {
    writeSync(file, `${batch.join("\n")}\n`);
    batch = [];
  };
  for (const line of lines) if (batch.push(line) >= 10_000) flush();
  if (batch.length > 0) flush();
  closeSync(file);
  renameSync(`${path}.part`, path);
}

function makeVpc(path: string): void {
  const random = new Random(SEED);
  const ports = [80, 443, 5432, 6379, 8080, 9090];
  function* lines() {
    yield "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";
    for (let n = 0; n < RECORDS; ) {
      const [client, server] = [random.below(400), random.below(60)];
      const [from, to] = [`10.244.${client >> 6}.${client & 63}`, `10.245.${server >> 4}.${server & 15}`];
      const [near, far] = [random.between(32768, 60999), ports[server % ports.length]];
      const card = `eni-${String(client % 40).padStart(17, "0")}`;
      for (let window = random.between(1, 2); window > 0; window--, n += 2) {
        const start = 1_700_000_000 + Math.floor(n / 300) + 60 * window;
        const counts = () => `${random.between(3, 40)} ${random.between(200, 90_000)} ${start} ${start + 58}`;
        yield `2 123456789010 ${card} ${from} ${to} ${near} ${far} 6 ${counts()} ACCEPT OK`;
        yield `2 123456789010 ${card} ${to} ${from} ${far} ${near} 6 ${counts()} ACCEPT OK`;
      }
    }
  }
  writeLines(path, lines());
}

/** Events of 400 pods as Hubble's exporter writes them: its own sample's, each with other ends and ports. */
function makeHubble(path: string): void {
  const random = new Random(SEED);
  const sample = readFileSync(new URL("../fixtures/flow-logs/hubble/invented.jsonl", import.meta.url), "utf8")
    .trim()
    .split("\n");
  const pods = Array.from({ length: 400 }, (_, i) => {
    const [app, namespace] = [`app-${i % 40}`, `ns-${i % 8}`];
    const labels = [
      `app=${app}`,
      `io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=${namespace}`,
      "io.cilium.k8s.policy.cluster=default",
    ];
    const more = ["io.cilium.k8s.policy.serviceaccount=default", `io.kubernetes.pod.namespace=${namespace}`, "tier=back"];
    return {
      ip: `10.244.${i >> 6}.${i & 63}`,
      endpoint: {
        ID: 1000 + i,
        identity: 20_000 + (i % 40),
        cluster_name: "default",
        namespace,
        labels: [...labels, ...more].map((label) => `k8s:${label}`),
        pod_name: `${app}-7d9c8b6f5-${String(i).padStart(5, "0")}`,
        workloads: [{ name: app, kind: "Deployment" }],
      },
    };
  });
  function* lines() {
    for (let n = 0; n < EVENTS; n++) {
      const event = JSON.parse(sample[random.below(sample.length)]);
      const { flow } = event;
      for (const [side, at] of [
        ["source", "source"],
        ["destination", "destination"],
      ] as const) {
        if (flow[side].pod_name === undefined) continue;
        const pod = pods[random.below(pods.length)];
        flow[side] = pod.endpoint;
        flow.IP[at] = pod.ip;
      }
      const layer = flow.l4.TCP ?? flow.l4.UDP ?? flow.l4.SCTP;
      if (layer !== undefined)
        layer[layer.source_port > layer.destination_port ? "source_port" : "destination_port"] = random.between(32768, 60999);
      flow.time = event.time = new Date(1_772_618_400_000 + n * 25).toISOString().replace("Z", "000000Z");
      yield JSON.stringify(event);
    }
  }
  writeLines(path, lines());
}

function installDuckDb(out: string): string | undefined {
  const folder = join(out, "duckdb");
  if (!existsSync(join(folder, "node_modules", "@duckdb", "node-api")))
    spawnSync("npm", ["install", "--prefix", folder, "--no-audit", "--no-fund", "--no-save", DUCKDB], { stdio: "ignore" });
  return existsSync(join(folder, "node_modules", "@duckdb", "node-api")) ? folder : undefined;
}

/** Runs one query in DuckDB. */
export const DUCKDB_PROGRAM = `
const { DuckDBInstance } = require("@duckdb/node-api");
(async () => {
  const connection = await (await DuckDBInstance.create(":memory:", { threads: "1" })).connect();
  const answer = await connection.runAndReadAll(process.argv[1]);
  console.log("rows " + answer.getRows()[0]);
})();`;

function makeParquet(duckdb: string, vpc: string, path: string): string | undefined {
  if (existsSync(path)) return path;
  const columns = [
    'version::INTEGER AS version, "account-id" AS account_id, "interface-id" AS interface_id, srcaddr, dstaddr, srcport::INTEGER AS srcport',
    'dstport::INTEGER AS dstport, protocol::INTEGER AS protocol, packets::BIGINT AS packets, bytes::BIGINT AS bytes, "start"::BIGINT AS start',
    '"end"::BIGINT AS "end", action, "log-status" AS log_status',
  ];
  const query = `COPY (SELECT ${columns.join(", ")} FROM read_csv('${vpc}', delim=' ', header=true)) TO '${path}' (FORMAT parquet, COMPRESSION snappy)`;
  spawnSync(process.execPath, ["-e", DUCKDB_PROGRAM, query], { cwd: duckdb, stdio: "ignore" });
  return existsSync(path) ? path : undefined;
}
