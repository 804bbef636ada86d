import { antreaCsv, antreaJson } from "./antrea.ts";
import { argus } from "./argus.ts";
import { awsVpc, awsVpcParquet } from "./awsVpc.ts";
import { azureNsg, azureVnet } from "./azure.ts";
import { broker } from "./broker.ts";
import { calicoFlowlog, calicoGoldmane, calicoWhisker } from "./calico.ts";
import { conntrack } from "./conntrack.ts";
import { eks, eksJson } from "./eks.ts";
import { envoyLines, envoyObjects } from "./envoy.ts";
import type { FlowLogFormat } from "./flowLog.ts";
import { gcpVpc } from "./gcpVpc.ts";
import { hubble } from "./hubble.ts";
import { netobserv } from "./netobserv.ts";
import { nfdumpCsv, nfdumpJson } from "./nfdump.ts";
import { ovn } from "./ovn.ts";
import { records, recordsCsv, recordsParquet } from "./records.ts";
import { suricata } from "./suricata.ts";
import { zeek, zeekJson } from "./zeek.ts";

/** Every flow-log format, one file each, sorted by name. No two recognise one log. */
export const FORMATS: readonly FlowLogFormat[] = [
  antreaCsv,
  antreaJson,
  argus,
  awsVpc,
  awsVpcParquet,
  azureNsg,
  azureVnet,
  broker,
  calicoFlowlog,
  calicoGoldmane,
  calicoWhisker,
  conntrack,
  eks,
  eksJson,
  envoyLines,
  envoyObjects,
  gcpVpc,
  hubble,
  netobserv,
  nfdumpCsv,
  nfdumpJson,
  ovn,
  records,
  recordsCsv,
  recordsParquet,
  suricata,
  zeek,
  zeekJson,
];
