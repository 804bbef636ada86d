/*
 * Where a tool's log and the capture itself differ, and why: all of it, line by line as `describeConnections` writes connections
 * (without how they ended, which flow records say less of). A difference that is not here fails the test, and so does one that is gone.
 */

export type Tool = "nfdump, CSV" | "nfdump, JSON" | "softflowd" | "argus";

export interface Difference {
  readonly why: string;
  readonly tools: readonly Tool[];
  readonly captures: readonly string[];
  /** Connections of the capture that the log does not have so. */
  readonly missing: readonly string[];
  /** Connections of the log that the capture does not have so. */
  readonly extra: readonly string[];
}

const NFDUMP: readonly Tool[] = ["nfdump, CSV", "nfdump, JSON"];
const ALL: readonly Tool[] = [...NFDUMP, "softflowd", "argus"];

export const DIFFERENCES: readonly Difference[] = [
  {
    why: "softflowd does not export ICMPv6 types: echo requests are not told from neighbour discovery, which is left out of captures",
    tools: ["softflowd"],
    captures: ["01-pod-http-dns.pcap", "15-bigendian.pcap", "26-vlan.pcap"],
    missing: [],
    extra: [
      "ICMPv6 fe80::9495:5bff:fe0f:20cd > ff02::2:255/255 x1 1p",
      "ICMPv6 fe80::a482:55ff:feab:667b > ff02::2:255/255 x1 1p",
      "ICMPv6 fe80::b4f6:92ff:febe:4d5f > ff02::2:255/255 x1 1p",
      "ICMPv6 fe80::f45d:51ff:feec:802e > ff02::2:255/255 x1 1p",
    ],
  },
  {
    why: "softflowd does not export ICMPv6 types: echo requests are not told from neighbour discovery, which is left out of captures",
    tools: ["softflowd"],
    captures: ["02-pod-postgres-redis-ns.pcap"],
    missing: [],
    extra: ["ICMPv6 fe80::202a:5aff:feee:21be > ff02::2:255/255 x1 1p"],
  },
  {
    why: "softflowd does not export ICMPv6 types: echo requests are not told from neighbour discovery, which is left out of captures",
    tools: ["softflowd"],
    captures: ["04-refused-timeout-scan.pcap"],
    missing: [],
    extra: [
      "ICMPv6 fe80::7c7e:a7ff:feae:b31e > ff02::2:255/255 x1 1p",
      "ICMPv6 fe80::a086:9cff:fe4b:1b2c > ff02::2:255/255 x1 1p",
      "ICMPv6 fe80::a411:f9ff:fe24:2abe > ff02::2:255/255 x1 1p",
      "ICMPv6 fe80::e834:4ff:fee9:bf3 > ff02::2:255/255 x1 1p",
    ],
  },
  {
    why: "softflowd does not export ICMPv6 types: echo requests are not told from neighbour discovery, which is left out of captures",
    tools: ["softflowd"],
    captures: ["05-midstream-icmp-udp.pcap"],
    missing: ["ICMPv6 fd00:10:244:1::b > fd00:10:244:2::b:128/0 x1 4p"],
    extra: [
      "ICMPv6 fd00:10:244:1::1 > fd00:10:244:1::b:255/255 x1 1p",
      "ICMPv6 fd00:10:244:1::b > fd00:10:244:2::b:255/255 x1 4p",
      "ICMPv6 fd00:10:244:1::b > ff02::1:ff00:1:255/255 x1 1p",
    ],
  },
  {
    why: "softflowd does not export ICMPv6 types: echo requests are not told from neighbour discovery, which is left out of captures",
    tools: ["softflowd"],
    captures: ["06-ipv6.pcap"],
    missing: ["ICMPv6 fd00:10:244:1::a > fd00:10:244:2::b:128/0 x1 4p"],
    extra: [
      "ICMPv6 fd00:10:244:1::1 > fd00:10:244:1::a:255/255 x1 1p",
      "ICMPv6 fd00:10:244:1::15 > fd00:10:244:1::a:255/255 x1 1p",
      "ICMPv6 fd00:10:244:1::a > fd00:10:244:2::b:255/255 x1 4p",
      "ICMPv6 fd00:10:244:1::a > ff02::1:ff00:15:255/255 x1 1p",
      "ICMPv6 fd00:10:244:1::a > ff02::1:ff00:1:255/255 x1 1p",
      "ICMPv6 fd00:10:244:1::a > ff02::1:ff00:99:255/255 x1 2p",
      "ICMPv6 fd00:10:244:1::a > ff02::1:ff00:b:255/255 x1 1p",
      "ICMPv6 fd00:10:244:1::b > fd00:10:244:1::a:255/255 x1 1p",
      "ICMPv6 fe80::b4f6:92ff:febe:4d5f > ff02::2:255/255 x1 1p",
    ],
  },
  {
    why: "softflowd does not export ICMPv6 types: echo requests are not told from neighbour discovery, which is left out of captures",
    tools: ["softflowd"],
    captures: ["07-ip-fragments.pcap"],
    missing: [],
    extra: ["ICMPv6 fe80::9495:5bff:fe0f:20cd > ff02::2:255/255 x1 1p", "ICMPv6 fe80::f45d:51ff:feec:802e > ff02::2:255/255 x1 1p"],
  },
  {
    why: "softflowd does not export ICMPv6 types: echo requests are not told from neighbour discovery, which is left out of captures",
    tools: ["softflowd"],
    captures: ["09-node-any-sll.pcap"],
    missing: [],
    extra: [
      "ICMPv6 fe80::f45d:51ff:feec:802e > fe80::a482:55ff:feab:667b:255/255 x1 4p",
      "ICMPv6 fe80::f45d:51ff:feec:802e > fe80::b4f6:92ff:febe:4d5f:255/255 x1 4p",
      "ICMPv6 fe80::f45d:51ff:feec:802e > fe80::bc0b:b6ff:feee:7706:255/255 x1 4p",
    ],
  },
  {
    why: "softflowd does not export ICMPv6 types: echo requests are not told from neighbour discovery, which is left out of captures",
    tools: ["softflowd"],
    captures: ["10-node-bridge-nat-double.pcap"],
    missing: [],
    extra: ["ICMPv6 fe80::bc0b:b6ff:feee:7706 > fe80::a482:55ff:feab:667b:255/255 x1 2p"],
  },
  {
    why: "softflowd does not export ICMPv6 types: echo requests are not told from neighbour discovery, which is left out of captures",
    tools: ["softflowd"],
    captures: ["11-two-ifaces-comments.pcapng"],
    missing: [],
    extra: [
      "ICMPv6 fe80::a482:55ff:feab:667b > fe80::f45d:51ff:feec:802e:255/255 x1 2p",
      "ICMPv6 fe80::b4f6:92ff:febe:4d5f > fe80::f45d:51ff:feec:802e:255/255 x1 2p",
      "ICMPv6 fe80::bc0b:b6ff:feee:7706 > fe80::f45d:51ff:feec:802e:255/255 x1 2p",
    ],
  },
  {
    why: "the tool does not decode SCTP: its records have no ports and are left out",
    tools: ALL,
    captures: ["29-sctp.pcap"],
    missing: ["SCTP 10.244.1.10 > 10.244.2.11:38412 x1 5p", "SCTP 10.244.1.10 > 10.244.2.11:9999 x1 2p"],
    extra: [],
  },
  {
    why: "the tool does not look into VXLAN: it tells the tunnel's own datagrams",
    tools: ALL,
    captures: ["13-vxlan-uplink.pcap"],
    missing: [
      "TCP 10.244.1.10 > 10.244.2.11:8080 x2 24p",
      "TCP 10.244.1.30 > 10.244.2.20:5432 x1 15p",
      "TCP 10.244.2.40 > 10.244.1.11:9100 x1 12p",
      "UDP 10.244.2.40 > 10.244.1.10:9 x1 1p",
    ],
    extra: ["UDP 192.168.50.11 > 192.168.50.12:8472 x5 29p", "UDP 192.168.50.12 > 192.168.50.11:8472 x5 24p"],
  },
  {
    why: "the tool does not look into Geneve: it tells the tunnel's own datagrams",
    tools: ALL,
    captures: ["27-geneve.pcap"],
    missing: [
      "TCP 10.244.1.10 > (10.96.20.1:80) > 10.96.20.1:80 x7 100p",
      "TCP 10.244.1.10 > 203.0.113.10:80 x1 12p",
      "TCP 10.244.1.10 > 203.0.113.10:8080 x1 12p",
      "TCP 10.244.1.30 > 10.244.1.10:8080 x1 12p",
      "UDP 10.244.1.10 > (10.96.0.10:53) > 10.96.0.10:53 x17 60p",
    ],
    extra: ["UDP 192.168.50.11 > 192.168.50.12:6081 x50 210p"],
  },
  {
    why: "the tool does not look into IP in IP: it tells the tunnel",
    tools: ["softflowd", "argus"],
    captures: ["28-ipip.pcap"],
    missing: [
      "TCP 10.244.1.10 > (10.96.20.1:80) > 10.96.20.1:80 x7 100p",
      "TCP 10.244.1.10 > 203.0.113.10:80 x1 12p",
      "TCP 10.244.1.10 > 203.0.113.10:8080 x1 12p",
      "TCP 10.244.1.30 > 10.244.1.10:8080 x1 12p",
      "UDP 10.244.1.10 > (10.96.0.10:53) > 10.96.0.10:53 x17 60p",
    ],
    extra: ["4 192.168.50.11 > 192.168.50.12 x1 196p"],
  },
  {
    why: "nfpcapd does not decode fragments of IPv6: their records have no ports and are left out",
    tools: NFDUMP,
    captures: ["06-ipv6.pcap"],
    missing: ["UDP fd00:10:244:1::a > fd00:10:244:2::28:9999 x1 12p"],
    extra: [],
  },
  {
    why: "softflowd exports later fragments of IPv6 as packets of protocol 0",
    tools: ["softflowd"],
    captures: ["06-ipv6.pcap"],
    missing: ["UDP fd00:10:244:1::a > fd00:10:244:2::28:9999 x1 12p"],
    extra: ["0 fd00:10:244:1::a > fd00:10:244:2::28 x1 8p", "UDP fd00:10:244:1::a > fd00:10:244:2::28:9999 x1 4p"],
  },
  {
    why: "argus takes the data of later IPv6 fragments for ports, and counts first ones by their own",
    tools: ["argus"],
    captures: ["06-ipv6.pcap"],
    missing: ["UDP fd00:10:244:1::a > fd00:10:244:2::28:9999 x1 12p"],
    extra: [
      "UDP fd00:10:244:1::a > fd00:10:244:2::28:63220 x1 2p",
      "UDP fd00:10:244:1::a > fd00:10:244:2::28:9999 x1 4p",
      "UDP fd00:10:244:2::28 > fd00:10:244:1::a:14140 x1 2p",
      "UDP fd00:10:244:2::28 > fd00:10:244:1::a:34385 x1 2p",
      "UDP fd00:10:244:2::28 > fd00:10:244:1::a:5415 x1 2p",
    ],
  },
  {
    why: "nfpcapd puts fragments together: a datagram counts as one packet",
    tools: NFDUMP,
    captures: ["07-ip-fragments.pcap"],
    missing: ["ICMP 10.244.1.10 > 10.244.1.11:8/0 x1 12p", "UDP 10.244.1.10 > 10.244.2.40:9999 x3 34p"],
    extra: ["ICMP 10.244.1.10 > 10.244.1.11:8/0 x1 4p", "UDP 10.244.1.10 > 10.244.2.40:9999 x3 10p"],
  },
  {
    why: "softflowd exports later fragments without ports or types: of UDP they are left out, of ICMP they are type 0, an echo reply",
    tools: ["softflowd"],
    captures: ["07-ip-fragments.pcap"],
    missing: ["ICMP 10.244.1.10 > 10.244.1.11:8/0 x1 12p", "UDP 10.244.1.10 > 10.244.2.40:9999 x3 34p"],
    extra: [
      "ICMP 10.244.1.10 > 10.244.1.11:8/0 x1 8p",
      "ICMP 10.244.1.11 > 10.244.1.10:8/0 x1 4p",
      "UDP 10.244.1.10 > 10.244.2.40:9999 x3 10p",
    ],
  },
  {
    why: "a capture at several places holds a packet several times, and the tool counts each: the connections are the same",
    tools: ALL,
    captures: ["09-node-any-sll.pcap"],
    missing: [
      "TCP 10.244.1.10 > (10.96.20.1:80) > 10.244.2.11:8080 x2 24p",
      "TCP 10.244.1.10 > (10.96.20.3:6379) > 10.244.1.21:6379 x1 10p",
      "TCP 10.244.1.10 > 203.0.113.10:80 x1 12p",
      "TCP 10.244.1.30 > (10.96.20.2:5432) > 10.244.2.20:5432 x1 15p",
      "TCP 10.244.2.40 > 10.244.1.11:9100 x1 12p",
      "UDP 10.244.1.10 > (10.96.0.10:53) > 10.244.1.2:53 x5 18p",
      "UDP 10.244.1.30 > (10.96.0.10:53) > 10.244.1.2:53 x1 4p",
      "UDP 10.244.2.40 > 10.244.1.10:9 x1 1p",
    ],
    extra: [
      "TCP 10.244.1.10 > (10.96.20.1:80) > 10.244.2.11:8080 x2 48p",
      "TCP 10.244.1.10 > (10.96.20.3:6379) > 10.244.1.21:6379 x1 16p",
      "TCP 10.244.1.10 > 203.0.113.10:80 x1 24p",
      "TCP 10.244.1.30 > (10.96.20.2:5432) > 10.244.2.20:5432 x1 30p",
      "TCP 10.244.2.40 > 10.244.1.11:9100 x1 36p",
      "UDP 10.244.1.10 > (10.96.0.10:53) > 10.244.1.2:53 x5 27p",
      "UDP 10.244.1.30 > (10.96.0.10:53) > 10.244.1.2:53 x1 6p",
      "UDP 10.244.2.40 > 10.244.1.10:9 x1 3p",
    ],
  },
  {
    why: "a capture at several places holds a packet several times, and the tool counts each: the connections are the same",
    tools: ALL,
    captures: ["10-node-bridge-nat-double.pcap"],
    missing: [
      "TCP 10.244.1.10 > 10.244.1.11:8080 x2 32p",
      "TCP 10.244.1.10 > 10.244.1.21:6379 x1 14p",
      "UDP 10.244.1.10 > 10.244.1.2:53 x5 27p",
      "UDP 10.244.1.30 > 10.244.1.2:53 x1 6p",
    ],
    extra: [
      "TCP 10.244.1.10 > 10.244.1.11:8080 x2 48p",
      "TCP 10.244.1.10 > 10.244.1.21:6379 x1 21p",
      "UDP 10.244.1.10 > 10.244.1.2:53 x5 36p",
      "UDP 10.244.1.30 > 10.244.1.2:53 x1 8p",
    ],
  },
  {
    why: "a capture at several places holds a packet several times, and the tool counts each: the connections are the same",
    tools: ALL,
    captures: ["11-two-ifaces-comments.pcapng"],
    missing: [
      "TCP 10.244.1.10 > (10.96.20.1:80) > 10.244.2.11:8080 x2 24p",
      "TCP 10.244.1.10 > 10.244.1.11:8080 x2 32p",
      "TCP 10.244.1.10 > 10.244.1.21:6379 x1 14p",
      "TCP 10.244.1.30 > (10.96.20.2:5432) > 10.244.2.20:5432 x1 15p",
      "TCP 10.244.2.40 > 10.244.1.11:9100 x1 12p",
      "UDP 10.244.1.10 > 10.244.1.2:53 x5 27p",
      "UDP 10.244.1.30 > 10.244.1.2:53 x1 6p",
      "UDP 10.244.2.40 > 10.244.1.10:9 x1 1p",
    ],
    extra: [
      "TCP 10.244.1.10 > (10.96.20.1:80) > 10.244.2.11:8080 x2 38p",
      "TCP 10.244.1.10 > 10.244.1.11:8080 x2 48p",
      "TCP 10.244.1.10 > 10.244.1.21:6379 x1 21p",
      "TCP 10.244.1.30 > (10.96.20.2:5432) > 10.244.2.20:5432 x1 24p",
      "TCP 10.244.2.40 > 10.244.1.11:9100 x1 24p",
      "UDP 10.244.1.10 > 10.244.1.2:53 x5 36p",
      "UDP 10.244.1.30 > 10.244.1.2:53 x1 8p",
      "UDP 10.244.2.40 > 10.244.1.10:9 x1 2p",
    ],
  },
  {
    why: "a capture at several places holds a packet several times, and the tool counts each: the connections are the same",
    tools: [...NFDUMP, "argus"],
    captures: ["21-truncated.pcapng"],
    missing: [
      "TCP 10.244.1.10 > (10.96.20.1:80) > 10.244.2.11:8080 x2 24p",
      "TCP 10.244.1.10 > 10.244.1.11:8080 x2 32p",
      "TCP 10.244.1.10 > 10.244.1.21:6379 x1 14p",
      "UDP 10.244.1.10 > 10.244.1.2:53 x5 27p",
      "UDP 10.244.1.30 > 10.244.1.2:53 x1 6p",
    ],
    extra: [
      "TCP 10.244.1.10 > (10.96.20.1:80) > 10.244.2.11:8080 x2 38p",
      "TCP 10.244.1.10 > 10.244.1.11:8080 x2 48p",
      "TCP 10.244.1.10 > 10.244.1.21:6379 x1 21p",
      "UDP 10.244.1.10 > 10.244.1.2:53 x5 36p",
      "UDP 10.244.1.30 > 10.244.1.2:53 x1 8p",
    ],
  },
  {
    why: "a capture at several places holds a packet several times, and the tool counts each: the connections are the same",
    tools: [...NFDUMP, "argus"],
    captures: ["22-corrupt-block.pcapng"],
    missing: ["UDP 10.244.1.10 > 10.244.1.2:53 x2 7p"],
    extra: ["UDP 10.244.1.10 > 10.244.1.2:53 x2 10p"],
  },
];

/** Captures that a tool does not read at all, with its reason. Damaged ones nfpcapd and argus read up to the damage. */
export const REFUSALS: Readonly<Record<string, Readonly<Partial<Record<Tool, string>>>>> = {
  "08-node-any-sll2.pcap": {
    "nfdump, CSV": "unsupported data link type 276",
    "nfdump, JSON": "unsupported data link type 276",
    softflowd: "unsupported datalink type 276",
    argus: "unsupported device type 276",
  },
  "17-gzip.pcap.gz": {
    "nfdump, CSV": "unknown file format",
    "nfdump, JSON": "unknown file format",
    softflowd: "unknown file format",
    argus: "unknown packet file format",
  },
  "18-zstd.pcap.zst": {
    "nfdump, CSV": "unknown file format",
    "nfdump, JSON": "unknown file format",
    softflowd: "unknown file format",
    argus: "unknown packet file format",
  },
  "19-truncated-mid-record.pcap": {
    softflowd: "truncated dump file",
  },
  "20-corrupt-length.pcap": {
    softflowd: "invalid packet capture length 2147483647",
  },
  "21-truncated.pcapng": {
    softflowd: "truncated pcapng dump file",
  },
  "22-corrupt-block.pcapng": {
    softflowd: "block in pcapng dump file has a length of 7",
  },
  "23-not-a-capture.pcap": {
    "nfdump, CSV": "unknown file format",
    "nfdump, JSON": "unknown file format",
    softflowd: "unknown file format",
    argus: "unknown packet file format",
  },
  "24-empty.pcap": {
    "nfdump, CSV": "truncated dump file",
    "nfdump, JSON": "truncated dump file",
    softflowd: "truncated dump file",
    argus: "stream empty",
  },
};
