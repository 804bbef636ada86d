import { describe, expect, test } from "vitest";
import type { Pod } from "../../src/cluster/objects.ts";
import type { SeenPort } from "../../src/generate/gather.ts";
import { dnsPorts, rulePorts } from "../../src/generate/ports.ts";
import { formatPortRange } from "../../src/net/portRange.ts";
import { protocolName, TCP, UDP } from "../../src/net/protocol.ts";
import type { PortMatch } from "../../src/policy/model.ts";

type Declared = readonly [name: string | undefined, port: number, protocol?: number];

const podWith = (...ports: Declared[]): Pod =>
  ({ ports: ports.map(([name, port, protocol = TCP]) => ({ ...(name ? { name } : {}), port, protocol })) }) as unknown as Pod;
const seen = (port: number, protocol = TCP, pods: readonly Pod[] = []): SeenPort =>
  ({ protocol, port, match: { protocol }, pods: new Set(pods) }) as unknown as SeenPort;
const text = ({ protocol, ports }: PortMatch) =>
  `${ports === undefined ? "all" : "name" in ports ? ports.name : formatPortRange(ports)}/${protocolName(protocol)}`;
const written = (numbers: readonly number[], ...pods: Pod[]) =>
  rulePorts(
    numbers.map((number) => seen(number)),
    pods,
  ).matches.map(text);

describe("ports of a rule", () => {
  test.each<[string, readonly number[], readonly Pod[], readonly string[]]>([
    ["are numbers where no pod declares them", [8080, 80], [podWith()], ["80/TCP", "8080/TCP"]],
    ["are named where every pod names them so", [8080], [podWith(["http", 8080]), podWith(["http", 8080])], ["http/TCP"]],
    ["are numbers where one pod names them otherwise", [8080], [podWith(["http", 8080]), podWith(["web", 8080])], ["8080/TCP"]],
    ["are numbers where one pod has no name", [8080], [podWith(["http", 8080]), podWith([undefined, 8080])], ["8080/TCP"]],
    ["are numbers where the name stands for another port too", [8080], [podWith(["http", 8080], ["http", 80])], ["8080/TCP"]],
    ["are numbers where the port has two names", [8080], [podWith(["http", 8080], ["web", 8080])], ["8080/TCP"]],
    ["are numbers outside the cluster", [443], [], ["443/TCP"]],
    ["that are adjacent become a range from three on", [1, 2, 3, 5, 6, 8], [podWith()], ["1-3/TCP", "5/TCP", "6/TCP", "8/TCP"]],
    [
      "of which few are ephemeral stay as they are",
      [32768, 40000, 50000, 60000],
      [podWith()],
      ["32768/TCP", "40000/TCP", "50000/TCP", "60000/TCP"],
    ],
    [
      "of which many are ephemeral are open as a whole",
      [80, 33000, 40000, 50000, 60000, 61000],
      [podWith()],
      ["80/TCP", "32768-65535/TCP"],
    ],
    ["that are dynamic are those of IANA", [49152, 50000, 60000, 61000, 65535], [podWith()], ["49152-65535/TCP"]],
    ["in one ephemeral run are a plain range", [40000, 40001, 40002, 40003, 40004], [podWith()], ["40000-40004/TCP"]],
  ])("%s", (_title, numbers, pods, expected) => {
    expect(written(numbers, ...pods)).toEqual(expected);
  });

  test("are named where each pod knows the name under the number that was seen on it", () => {
    const [a, b] = [podWith(["http", 3000]), podWith(["http", 3001])];
    const both = [seen(3000, TCP, [a]), seen(3001, TCP, [b])];
    expect(rulePorts(both, [a, b]).matches.map(text)).toEqual(["http/TCP"]);
    expect(rulePorts([...both, seen(3001, TCP, [a])], [a, b]).matches.map(text)).toEqual(["http/TCP", "3001/TCP"].slice(0, 2));
  });

  test("say why a range is open", () => {
    expect(
      rulePorts(
        [33000, 40000, 50000, 60000, 61000].map((port) => seen(port)),
        [],
      ).remarks,
    ).toEqual([expect.stringContaining("5 ephemeral ports were seen (33000 to 61000)")]);
  });

  test("of DNS are both protocols, whichever was seen", () => {
    expect(dnsPorts([seen(53, UDP)]).matches.map(text)).toEqual(["53/UDP", "53/TCP"]);
    expect(dnsPorts([seen(5353, TCP), seen(53, UDP)]).matches.map(text)).toEqual(["53/UDP", "53/TCP", "5353/UDP", "5353/TCP"]);
  });
});
