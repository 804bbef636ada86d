import { expect, test } from "vitest";
import { describe as lines, readLogs } from "./flowLogs.ts";
import { withFiles } from "./replay.ts";

const HEADER = "ts,te,td,sa,da,sp,dp,pr,flg,ipkt,ibyt,opkt,obyt,fwd,ra,exid";

/** Reads CSV rows given as `sa da sp dp pr flg ipkt opkt`, and further columns. */
function read(...rows: readonly string[]) {
  const csv = rows.map((row) => {
    const [sa, da, sp, dp, pr, flg, ipkt, opkt, fwd = "0", ra = "0.0.0.0", start = "2026-11-22 17:32:05.100"] = row.split("  ");
    return `${start},${start},0.0,${sa},${da},${sp},${dp},${pr},${flg},${ipkt},${Number(ipkt) * 60},${opkt},${Number(opkt) * 60},${fwd},${ra},0`;
  });
  return withFiles([Buffer.from(`${[HEADER, ...csv].join("\n")}\n`)], async ([path]) => {
    const read = await readLogs([path]);
    expect(read.inputs[0].warnings).toEqual([]);
    return lines(read).map((line) => line.replace(/ \d+B/, "").replace(/ 2026.*/, ""));
  });
}

const [A, B] = ["10.0.0.1  10.0.0.2", "10.0.0.2  10.0.0.1"];

test.each([
  [
    "halves of one second: who began is inferred",
    [`${A}  40000  80  TCP  ...AP.SF  5  0`, `${B}  80  40000  TCP  ...AP.SF  4  0`],
    "> 10.0.0.2:80 x1 9p established ~",
  ],
  [
    "the earlier half began",
    [`${A}  80  40000  TCP  ...AP.SF  5  0  0  0.0.0.0  2026-11-22 17:32:05.200`, `${B}  40000  80  TCP  ...AP.SF  4  0`],
    "> 10.0.0.1:80 x1 9p established",
  ],
  ["refused", [`${A}  40000  81  TCP  ......S.  1  0`, `${B}  81  40000  TCP  ...A.R..  1  0`], "> 10.0.0.2:81 x1 2p refused"],
  ["unanswered, or its answer is of another record", [`${A}  40000  81  TCP  ......S.  3  0`], "> 10.0.0.2:81 x1 3p unknown"],
  ["six flags, as before 1.7", [`${A}  40000  81  TCP  ....S.  3  0`], "> 10.0.0.2:81 x1 3p unknown"],
  ["both directions, whose flags is not told", [`${A}  40000  80  TCP  ...AP.SF  5  4`], "> 10.0.0.2:80 x1 9p established ~"],
  ["-b leaves the server first", [`${B}  80  40000  TCP  ...AP.SF  5  4`], "> 10.0.0.2:80 x1 9p established ~"],
  ["-B has the RST's flags for a refused SYN", [`${A}  40000  81  TCP  ...A.R..  1  1`], "> 10.0.0.2:81 x1 2p unknown ~"],
  ["-B has a SYN with ACK of either", [`${A}  40000  80  TCP  ...A..S.  1  1`], "> 10.0.0.2:80 x1 2p established ~"],
  ["a SYN alone, and what came back is not told", [`${A}  40000  81  TCP  ......S.  1  1`], "> 10.0.0.2:81 x1 2p unknown ~"],
  ["UDP both ways", [`${A}  40000  53  UDP  ........  1  1`], "> 10.0.0.2:53 x1 2p established ~"],
  ["an access list of the router dropped it", [`${A}  40000  81  TCP  ......S.  1  0  129`], "> 10.0.0.2:81 x1 1p dropped cloud"],
  ["a queue of the router dropped some", [`${A}  40000  81  UDP  ........  1  0  139`], "> 10.0.0.2:81 x1 1p unknown ~"],
  [
    "two routers see one connection",
    [`${A}  40000  81  TCP  ......S.  1  0  0  192.0.2.1`, `${A}  40000  81  TCP  ......S.  1  0  0  192.0.2.2`],
    "> 10.0.0.2:81 x1 1p unknown",
  ],
])("%s", async (_name, rows, wanted) => {
  const found = await read(...rows);
  expect(found.map((line) => line.replace(/^\S+ \S+ /, ""))).toEqual([wanted]);
});

test("ICMP by type and code", async () => {
  expect(await read(`${A}  0  8.0  ICMP  ........  1  0`, `${B}  0  0  ICMP  ........  1  0`)).toEqual([
    "ICMP 10.0.0.1 > 10.0.0.2:8/0 x1 2p established",
  ]);
  expect(await read("fd00::1  fd00::2  0  32768  ICMP6  ........  2  2")).toEqual(["ICMPv6 fd00::1 > fd00::2:128/0 x1 4p established"]);
});

test("lines before any header, and a header in the midst", async () => {
  const text = `${HEADER}\n${HEADER.split(",").toReversed().join(",")}\n0,,0,0,0,60,1,......S.,TCP,80,40000,10.0.0.2,10.0.0.1,,,2026-11-22 17:32:05\nx,y\n`;
  await withFiles([Buffer.from(text)], async ([path]) => {
    const read = await readLogs([path]);
    expect(lines(read)).toEqual(["TCP 10.0.0.1 > 10.0.0.2:80 x1 1p 60B unknown 2026-11-22T17:32:05Z"]);
    expect(read.inputs[0].warnings).toEqual(["line 4: unknown protocol `nothing`"]);
    await expect(readLogs([path], { fields: ["sa", "da"] })).rejects.toThrow("lack pr or proto");
  });
});
