import { setTimeout as pause } from "node:timers/promises";
import type { AuditVerdict } from "../policy/auditVerdict.ts";
import {
  type PodRow,
  readAuditVerdict,
  readPodRow,
  readServiceRow,
  readSyscallRow,
  readTrafficRow,
  type ServiceRow,
  type SyscallRow,
  type TrafficRow,
} from "./brokerRows.ts";
import { type Answer, nameOf, type Request, type Server, send, textOf } from "./http.ts";
import { jsonItems, lookOf } from "./jsonArray.ts";
import { LiveError } from "./liveError.ts";
import { forEachAtOnce } from "./pool.ts";

/** Rows of one kind with those that could not be used, by reason. */
export interface Rows<Row> {
  readonly rows: readonly Row[];
  readonly rejected: Readonly<Record<string, number>>;
}

/** What `/version` tells. */
export interface BrokerVersion {
  readonly broker: string;
  /** Where the version is not the one that this program is made for; undefined where it is. */
  readonly mismatch: string | undefined;
}

/** The broker clamps `limit` to this and says nothing of what it left out (kguardian broker 1.12, get.rs). */
export const TRAFFIC_LIMIT = 20_000;
/** Made for this one. Newer minor versions add; other major ones may change. */
const [KNOWN_MAJOR, KNOWN_MINOR] = [1, 12];

/** A row of traffic is 310 bytes; of a pod with all its metadata seldom over 20 kB. */
const MOST_ITEM_BYTES = 4e6;
const MOST_ANSWER_BYTES = 1e9;
const MOST_TEXT_BYTES = 1e5;
/** Of all pods together: what one answer of MOST_ANSWER_BYTES holds. More would not fit into memory beside what is made of it. */
const MOST_ROWS = 3e6;
/** What Kubernetes takes for a pod's name (a DNS subdomain), in whatever case. */
const POD_NAME = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/i;

const RETRIES = 3;
const FIRST_PAUSE_MS = 250;
/** Answers for single pods that are asked for at once. */
const AT_ONCE = 8;

/** What a run does besides asking: told of a broker that did not answer at first. */
export interface BrokerEvents {
  readonly retry?: (message: string) => void;
}

/** Asks a kguardian broker (HTTP API of version 1.12). Every failure is a LiveError; nothing of an answer is used before all of it is there. */
export class BrokerClient {
  readonly #server: Server;
  readonly #token: string | undefined;
  readonly #events: BrokerEvents;
  /** How messages name the broker. */
  readonly name: string;

  constructor(server: Server, name: string, token: string | undefined, events: BrokerEvents = {}) {
    this.#server = server;
    this.#token = token;
    this.#events = events;
    this.name = name;
  }

  /** Asks who answers, and refuses whoever is no broker. */
  async version(): Promise<BrokerVersion> {
    const value = await this.#retrying(async () => {
      const answer = await this.#get("/version");
      if (answer === undefined) throw this.#stranger("it has no /version");
      const text = await textOf(answer, MOST_TEXT_BYTES);
      try {
        return JSON.parse(text) as unknown;
      } catch {
        throw this.#stranger(`/version gives ${lookOf(text)}`);
      }
    });
    const broker = typeof value === "object" && value !== null ? (value as Record<string, unknown>).broker : undefined;
    if (typeof broker !== "string") throw this.#stranger("/version names no broker");
    return { broker, mismatch: mismatchOf(broker) };
  }

  /** Returns the newest rows of traffic, at most TRAFFIC_LIMIT; `isCut` where there may be more. */
  async traffic(): Promise<Rows<TrafficRow> & { readonly isCut: boolean }> {
    const read = await this.#list(`/pod/traffic?limit=${TRAFFIC_LIMIT}`, readTrafficRow, TRAFFIC_LIMIT);
    const all = read.rows.length + Object.values(read.rejected).reduce((sum, count) => sum + count, 0);
    return { ...read, isCut: all >= TRAFFIC_LIMIT };
  }

  /** Returns all rows of pods of these names, whatever their namespace: each name's are complete. */
  async trafficOfPods(names: readonly string[], progress?: (done: number) => void): Promise<Rows<TrafficRow>> {
    const rows: TrafficRow[] = [];
    const rejected: Record<string, number> = {};
    // Names come from the broker too, which stores whatever it is sent: `..` would lead elsewhere, and is no pod's name.
    const askable = names.filter((name) => POD_NAME.test(name));
    let done = 0;
    let total = 0;
    const counted = (value: unknown) => {
      if (++total > MOST_ROWS)
        throw new LiveError(
          "status",
          `the broker (${this.name}) holds more than ${MOST_ROWS / 1e6} million rows of traffic: too many for one run`,
        );
      return readTrafficRow(value);
    };
    await forEachAtOnce(askable, AT_ONCE, async (name) => {
      const read = await this.#list(`/pod/traffic/${name}`, counted);
      for (const row of read.rows) rows.push(row);
      for (const [reason, count] of Object.entries(read.rejected)) rejected[reason] = (rejected[reason] ?? 0) + count;
      progress?.(++done);
    });
    return { rows, rejected };
  }

  pods(): Promise<Rows<PodRow>> {
    return this.#list("/pod/info", readPodRow);
  }

  services(): Promise<Rows<ServiceRow>> {
    return this.#list("/svc/info", readServiceRow);
  }

  /** Returns would-deny records, newest first; the broker gives 500 at most. */
  auditVerdicts(query: Readonly<Record<string, string>>): Promise<Rows<AuditVerdict>> {
    return this.#list(`/audit/verdicts?${new URLSearchParams(query)}`, readAuditVerdict);
  }

  /** Returns what a pod of this name was seen to call; several where the broker stored several. */
  syscalls(podName: string): Promise<Rows<SyscallRow>> {
    return this.#list(`/pod/syscalls/${encodeURIComponent(podName)}`, readSyscallRow);
  }

  /** Reads a list whole before any of it counts: an answer that breaks off is asked for again. */
  async #list<Row>(path: string, read: (value: unknown) => Row | string, most = Number.POSITIVE_INFINITY): Promise<Rows<Row>> {
    return await this.#retrying(async () => {
      const answer = await this.#get(path);
      if (answer === undefined) throw this.#stranger(`it has no ${path.replace(/[?].*/, "")}`);
      const rows: Row[] = [];
      const rejected: Record<string, number> = {};
      let count = 0;
      for await (const value of jsonItems(answer.body(MOST_ANSWER_BYTES), `the broker (${this.name})`, MOST_ITEM_BYTES)) {
        if (++count > most) throw this.#stranger(`it gives more rows than the ${most} that were asked for`);
        const row = read(value);
        if (typeof row === "string") rejected[row] = (rejected[row] ?? 0) + 1;
        else rows.push(row);
      }
      return { rows, rejected };
    });
  }

  /** Returns the answer of status 200; undefined for 404. */
  async #get(path: string): Promise<Answer | undefined> {
    const { url } = this.#server;
    const request: Request = {
      method: "GET",
      path: `${url.pathname.replace(/\/$/, "")}${path}`,
      ...(this.#token === undefined ? {} : { headers: { authorization: `Bearer ${this.#token}` } }),
    };
    const answer = await send(this.#server, request);
    const { status } = answer;
    if (status === 200) {
      const encoding = answer.headers["content-encoding"];
      if (encoding === undefined || encoding === "identity") return answer;
      answer.discard();
      throw this.#stranger("it compresses its answers though nobody asked");
    }
    answer.discard();
    if (status === 404) return undefined;
    if (status === 401 || status === 403) throw this.#unauthorized(status);
    if (status >= 300 && status < 400)
      throw this.#stranger(`it sends elsewhere (status ${status}); redirects are not followed, since the token would go along`);
    const reason = status >= 500 ? "it fails at this" : "it does not take what it is asked";
    throw new LiveError(
      "status",
      `the broker (${this.name}) answers ${path.replace(/[?].*/, "")} with status ${status}: ${reason}`,
      status,
    );
  }

  #unauthorized(status: number): LiveError {
    const why =
      this.#token === undefined
        ? "wants a token, and none was given: set KGUARDIAN_BROKER_TOKEN or give --broker-token-file FILE"
        : "refuses the token of KGUARDIAN_BROKER_TOKEN or --broker-token-file";
    return new LiveError("unauthorized", `the broker (${this.name}) ${why} (status ${status})`, status);
  }

  #stranger(why: string): LiveError {
    return new LiveError(
      "wrong-service",
      `what answers at ${this.name} is not the kguardian broker that this program knows: ${why}; check --broker-url, or --broker-service and --broker-namespace`,
    );
  }

  /** Tries again where the server failed or the connection broke; whatever else goes wrong would go wrong again. */
  async #retrying<Result>(attempt: () => Promise<Result>): Promise<Result> {
    for (let retry = 0; ; retry++) {
      try {
        return await attempt();
      } catch (error) {
        const isPassing = error instanceof LiveError && (error.code === "reset" || (error.status ?? 0) >= 500);
        if (!isPassing || retry === RETRIES) throw error;
        this.#events.retry?.(`${error.message}; trying again (${retry + 1} of ${RETRIES})`);
        await pause(FIRST_PAUSE_MS * 2 ** retry * (0.75 + Math.random() / 2));
      }
    }
  }
}

function mismatchOf(version: string): string | undefined {
  const match = /^v?(\d{1,6})\.(\d{1,6})(?:[.+-]|$)/.exec(version);
  if (match === null)
    return `its version \`${version.slice(0, 40)}\` is none that this program knows (made for ${KNOWN_MAJOR}.${KNOWN_MINOR})`;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  const shown = `${major}.${minor}`;
  if (major !== KNOWN_MAJOR)
    return `it is version ${shown}, and this program is made for ${KNOWN_MAJOR}.${KNOWN_MINOR}: answers may mean something else`;
  return minor < KNOWN_MINOR
    ? `it is version ${shown}, older than the ${KNOWN_MAJOR}.${KNOWN_MINOR} that this program is made for: it may lack what is asked for, and store replies as connections of their own`
    : undefined;
}

/** Returns the URL of a broker that a user gave. Throws a LiveError with what is wrong; credentials in it are refused and not shown. */
export function parseBrokerUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new LiveError("configuration", "--broker-url: not a URL such as http://127.0.0.1:9090");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:")
    // `localhost:9090` is a URL too, of a scheme of that name.
    throw new LiveError(
      "configuration",
      `--broker-url: ${url.protocol.slice(0, 20)} is not spoken, http: and https: are: it begins with either, such as http://127.0.0.1:9090`,
    );
  if (url.username !== "" || url.password !== "")
    throw new LiveError(
      "configuration",
      "--broker-url: no user and password in it, they would show: KGUARDIAN_BROKER_TOKEN holds the broker's token",
    );
  if (url.search !== "" || url.hash !== "") throw new LiveError("configuration", `--broker-url: ${nameOf(url)} with a query or fragment`);
  return url;
}
