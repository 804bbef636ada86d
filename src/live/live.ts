import { Agent } from "node:http";
import { Agent as SecureAgent } from "node:https";
import type { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { ApiServer } from "./apiServer.ts";
import { BrokerClient, parseBrokerUrl } from "./brokerClient.ts";
import { type ClusterReading, readLiveCluster } from "./clusterReader.ts";
import { DEFAULT_TIMEOUTS, nameOf, type Server } from "./http.ts";
import {
  apiServerOf,
  type ClusterFlags,
  checkToken,
  contextNamespace,
  hasClusterConfiguration,
  loadKubeConfig,
  readToken,
} from "./kubeConfig.ts";
import { LiveError } from "./liveError.ts";
import { forwardPort, resolveService } from "./portForward.ts";

export { hasClusterConfiguration };

/** The cluster of the current context. */
export class Live {
  readonly config: KubeConfig;
  readonly api: ApiServer;
  /** The context's namespace. */
  readonly namespace: string | undefined;

  private constructor(config: KubeConfig, api: ApiServer) {
    this.config = config;
    this.api = api;
    this.namespace = contextNamespace(config);
  }

  static async open(flags: ClusterFlags): Promise<Live> {
    const config = loadKubeConfig(flags);
    const server = await apiServerOf(config, flags.requestTimeout);
    return new Live(config, new ApiServer(server, config.getCurrentUser()?.name ?? "(none)"));
  }

  /** The namespace of the context that flags and environment name, without asking the cluster for anything. */
  static namespaceOf(flags: ClusterFlags): string | undefined {
    return hasClusterConfiguration(flags) ? contextNamespace(loadKubeConfig(flags)) : undefined;
  }

  /** The context's name, as messages show it. */
  get name(): string {
    return this.config.getCurrentContext();
  }

  readCluster(namespace: string): Promise<ClusterReading> {
    return readLiveCluster(this.api, namespace);
  }
}

export interface BrokerPlace {
  readonly url: string | undefined;
  readonly service: string;
  readonly namespace: string;
  readonly tokenFile: string | undefined;
  /** Seconds; 0: as long as the defaults allow. */
  readonly requestTimeout: number;
  /** Needed where there is no URL. */
  readonly live: Live | undefined;
  /** Told of what a user should see while it goes on. */
  readonly tell: (message: string) => void;
}

/** The port of the broker's Service (kguardian chart: broker.service.port). */
const BROKER_PORT = 9090;
/** A forwarded port does not tell when the other side ends: it falls silent. A broker has its whole answer before it sends any of it. */
const FORWARD_STALL_MS = 5000;

/** Opens a broker by URL, else behind its Service through the API server. Nothing is asked of it yet. */
export async function openBroker({ url, service, namespace, tokenFile, requestTimeout, live, tell }: BrokerPlace): Promise<BrokerClient> {
  const variable = process.env.KGUARDIAN_BROKER_TOKEN;
  const token =
    tokenFile !== undefined
      ? readToken(tokenFile, "--broker-token-file")
      : variable === undefined || variable === ""
        ? undefined
        : checkToken(variable, "KGUARDIAN_BROKER_TOKEN");
  const totalMs = requestTimeout > 0 ? requestTimeout * 1000 : DEFAULT_TIMEOUTS.totalMs;
  const timeouts = { idleMs: Math.min(DEFAULT_TIMEOUTS.idleMs, totalMs), totalMs };
  const events = { retry: tell };
  if (url !== undefined) {
    const parsed = parseBrokerUrl(url);
    const isLocal = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(parsed.hostname);
    if (token !== undefined && parsed.protocol === "http:" && !isLocal)
      tell(
        `the broker's token goes to ${nameOf(parsed)} unencrypted: whoever listens on the way can read it (https:, or a port-forward, protect it)`,
      );
    const agent = parsed.protocol === "https:" ? new SecureAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
    return new BrokerClient({ name: `the broker ${nameOf(parsed)}`, url: parsed, timeouts, agent }, nameOf(parsed), token, events);
  }
  if (live === undefined) throw new LiveError("configuration", "no broker: give --broker-url");
  const target = await resolveService(live.api, namespace, service, BROKER_PORT);
  const name = `svc/${service} of ${namespace}, by port-forward to ${target.pod}`;
  const server: Server = {
    name: `the broker (${name})`,
    // What stands in the Host header; connections go through the API server.
    url: new URL(`http://${service}.${namespace}.svc:${BROKER_PORT}`),
    timeouts,
    stallMs: FORWARD_STALL_MS,
    connect: () => forwardPort(live.config, target),
  };
  return new BrokerClient(server, name, token, events);
}
