import { expect, test } from "vitest";
import { describe as lines, readLogs } from "./flowLogs.ts";
import { withFiles } from "./replay.ts";

const HEADER = "StartTime,LastTime,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,SrcPkts,DstPkts,SrcBytes,DstBytes,State,Flgs";

/** Reads rows given as `proto sport dir dport spkts dpkts state`. */
function read(...rows: readonly string[]) {
  const csv = rows.map((row, i) => {
    const [proto, sport, dir, dport, spkts, dpkts, state] = row.split(/ +/);
    return `${1795368725 + i}.5,${1795368725 + i}.6,${proto},10.0.0.1,${sport},  ${dir},10.0.0.2,${dport},${spkts},${dpkts},${Number(spkts) * 60},${Number(dpkts) * 60},${state}, e        `;
  });
  return withFiles([Buffer.from(`${[HEADER, ...csv].join("\n")}\n`)], async ([path]) => {
    const read = await readLogs([path]);
    expect(read.inputs[0].warnings).toEqual([]);
    return lines(read).map((line) => line.replace(/ \d+B/, "").replace(/ 2026.*/, ""));
  });
}

test.each([
  ["tcp 40000 -> 80 7 5 FIN", "TCP 10.0.0.1 > 10.0.0.2:80 x1 12p established"],
  // The source opened it, whatever the ports look like.
  ["tcp 80 -> 40000 7 5 CON", "TCP 10.0.0.1 > 10.0.0.2:40000 x1 12p established"],
  ["tcp 40000 <?> 80 7 5 CON", "TCP 10.0.0.1 > 10.0.0.2:80 x1 12p established ~"],
  ["tcp 80 <?> 40000 7 5 CON", "TCP 10.0.0.2 > 10.0.0.1:80 x1 12p established ~"],
  ["tcp 40000 ?> 80 7 0 FIN", "TCP 10.0.0.1 > 10.0.0.2:80 x1 7p unknown ~"],
  ["tcp 40000 <?| 80 1 1 RST", "TCP 10.0.0.1 > 10.0.0.2:80 x1 2p unknown ~"],
  ["tcp 40000 <| 80 1 1 RST", "TCP 10.0.0.1 > 10.0.0.2:80 x1 2p unknown ~"],
  ["tcp 40000 -> 80 1 1 RST", "TCP 10.0.0.1 > 10.0.0.2:80 x1 2p refused"],
  ["tcp 40000 |> 80 3 2 RST", "TCP 10.0.0.1 > 10.0.0.2:80 x1 5p unknown"],
  ["tcp 40000 -> 80 3 0 REQ", "TCP 10.0.0.1 > 10.0.0.2:80 x1 3p unanswered"],
  ["tcp 40000 -> 80 1 1 ACC", "TCP 10.0.0.1 > 10.0.0.2:80 x1 2p established"],
  // One SYN with ACK was all there was: who sent it was asked.
  ["tcp 80 -> 40000 1 0 ACC", "TCP 10.0.0.2 > 10.0.0.1:80 x1 1p established"],
  ["tcp 40000 -> 80 2 0 TIM", "TCP 10.0.0.1 > 10.0.0.2:80 x1 2p unknown"],
  ["tcp 40000 -> 80 1 1 S_RA", "TCP 10.0.0.1 > 10.0.0.2:80 x1 2p refused"],
  ["tcp 40000 -> 80 2 1 SR_SA", "TCP 10.0.0.1 > 10.0.0.2:80 x1 3p established"],
  ["tcp 40000 -> 80 3 0 S_", "TCP 10.0.0.1 > 10.0.0.2:80 x1 3p unanswered"],
  ["tcp 40000 -> 80 7 0 FSPA_", "TCP 10.0.0.1 > 10.0.0.2:80 x1 7p established"],
  ["tcp 40000 -> 80 0 5 _FSPA", "TCP 10.0.0.1 > 10.0.0.2:80 x1 5p established"],
  ["udp 53 <-> 40000 1 1 CON", "UDP 10.0.0.2 > 10.0.0.1:53 x1 2p established ~"],
  ["udp 40000 -> 53 1 0 INT", "UDP 10.0.0.1 > 10.0.0.2:53 x1 1p unknown ~"],
  ["icmp 0x0008 <-> 0x6ecd 1 1 ECO", "ICMP 10.0.0.1 > 10.0.0.2:8/0 x1 2p established"],
  ["icmp 0x0008 -> 0x6ecd 1 0 ECO", "ICMP 10.0.0.1 > 10.0.0.2:8/0 x1 1p unknown"],
  ["gre 0 <-> 0 3 3 CON", "47 10.0.0.1 > 10.0.0.2 x1 6p established ~"],
])("%s", async (row, wanted) => {
  expect(await read(row)).toEqual([wanted]);
});

test("several reports of one flow add up", async () => {
  expect(await read("tcp 40000 -> 80 2 1 CON", "tcp 40000 -> 80 7 5 CON", "tcp 40000 -> 80 1 1 FIN")).toEqual([
    "TCP 10.0.0.1 > 10.0.0.2:80 x1 17p established",
  ]);
});

test.each([
  ["TotPkts,TotBytes", "9,900", "9p 900B"],
  ["TotPkts,TotBytes,SrcBytes", "9,900,300", "9p 900B"],
  ["TotPkts,TotBytes,SrcBytes", "9,900,0", "9p 900B"],
  ["TotPkts,TotBytes,SrcBytes", "9,900,900", "9p 900B"],
  ["TotPkts,SrcPkts,TotBytes,SrcBytes", "9,4,900,300", "9p 900B"],
  ["State", "FIN", "?p ?B"],
])("sums: %s as %s", async (columns, cells, wanted) => {
  const text = `Proto,SrcAddr,Sport,Dir,DstAddr,Dport,${columns}\ntcp,10.0.0.1,40000,->,10.0.0.2,80,${cells}\n`;
  await withFiles([Buffer.from(text)], async ([path]) => {
    expect(lines(await readLogs([path]))[0]).toContain(`x1 ${wanted} `);
  });
});
