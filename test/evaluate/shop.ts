import type { Decision } from "../../src/evaluate/decision.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { type Compiled, compile, plain } from "../oracle/compiled.ts";
import type { Flow, Resources } from "../oracle/obviousEvaluator.ts";

/** A small cluster that most tables here ask about. Namespace `bare` has no Namespace object. */
export const SHOP: Resources = {
  namespaces: [
    { name: "shop", labels: { team: "red" } },
    { name: "data", labels: { team: "blue" } },
  ],
  nodes: [
    { name: "n1", ips: ["192.168.0.1", "fd00:1::1"] },
    { name: "n2", ips: ["192.168.0.2"] },
  ],
  pods: [
    {
      namespace: "shop",
      name: "web",
      labels: { app: "web" },
      ip: "10.0.0.1",
      ips: ["10.0.0.1", "fd00::1"],
      node: "n1",
      ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }],
    },
    {
      namespace: "shop",
      name: "api",
      labels: { app: "api" },
      ip: "10.0.0.2",
      node: "n2",
      ports: [
        { name: "http", containerPort: 9090, protocol: "TCP" },
        { name: "dns", containerPort: 53, protocol: "UDP" },
      ],
    },
    {
      namespace: "data",
      name: "db",
      labels: { app: "db" },
      ip: "10.0.0.3",
      node: "n1",
      ports: [{ name: "sql", containerPort: 5432, protocol: "TCP" }],
    },
    { namespace: "bare", name: "x", labels: { app: "web" }, ip: "10.0.0.4", node: "n2", ports: [] },
    {
      namespace: "shop",
      name: "agent",
      labels: { app: "agent" },
      ip: "192.168.0.1",
      node: "n1",
      hostNetwork: true,
      ports: [{ name: "http", containerPort: 9100, protocol: "TCP" }],
    },
  ],
};

/** The address of a pod or node by name; any other text is an address already. */
export function addressOf(name: string, { pods, nodes = [] }: Resources = SHOP): string {
  return pods.find((pod) => `${pod.namespace}/${pod.name}` === name)?.ip ?? nodes.find((node) => node.name === name)?.ips[0] ?? name;
}

/** Returns a NetworkPolicy as YAML: `namespace/name`, then the lines below `spec:`. The first of them is line 5. */
export function policy(title: string, ...spec: readonly string[]): string {
  const [namespace, name] = title.split("/");
  const head = ["apiVersion: networking.k8s.io/v1", "kind: NetworkPolicy", `metadata: {name: ${name}, namespace: ${namespace}}`, "spec:"];
  return [...head, ...spec.map((line) => `  ${line}`), ""].join("\n");
}

export function shop(
  policies: string | readonly string[] = [],
  cni: CniName = "generic",
  settings: Readonly<Record<string, string>> = {},
): Compiled {
  const text = typeof policies === "string" ? policies : policies.join("---\n");
  return compile(SHOP, text, { profile: profileOf(cni, settings) });
}

/**
 * Reads `shop/web > data/db TCP/5432`, or `… ICMP/8` for a type; a protocol without either stands alone. `?` is an end of which
 * nothing is known.
 */
export function flowOf(text: string, resources: Resources = SHOP): Flow & { icmpType?: number } {
  const [source, , destination, service] = text.split(" ");
  const [protocol, port = "0"] = service.split("/");
  return {
    source: addressOf(source, resources),
    destination: addressOf(destination, resources),
    protocol,
    port: Number(port),
    ...(protocol.startsWith("ICMP") ? { icmpType: Number(port) } : {}),
  };
}

/** Asks with `flowOf`'s text; ends named `?` are unknown, even their address. */
export function ask(compiled: Compiled, text: string): { egress: Decision; ingress: Decision } {
  const flow = flowOf(text);
  const unknown = { type: "unknown" } as const;
  return compiled.ask(flow, {
    ...(flow.source === "?" ? { source: unknown } : {}),
    ...(flow.destination === "?" ? { destination: unknown } : {}),
  });
}

/** A decision in one line: `deny isolated [shop/p] <- rule, rule (note)`. */
export function line(decision: Decision): string {
  const { verdict, reason, notes, isolatedBy, matched } = plain(decision) as Record<string, string & string[]>;
  const rules = matched.length > 0 ? ` <- ${matched.join(", ")}` : "";
  return `${verdict} ${reason}${isolatedBy.length > 0 ? ` [${isolatedBy.join(" ")}]` : ""}${rules}${notes.length > 0 ? ` (${notes.join(" ")})` : ""}`;
}
