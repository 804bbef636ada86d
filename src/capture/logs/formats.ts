import { awsVpc, awsVpcParquet } from "./awsVpc.ts";
import type { FlowLogFormat } from "./flowLog.ts";
import { records } from "./records.ts";

/** Every flow-log format, one file each, sorted by name. No two recognise one log. */
export const FORMATS: readonly FlowLogFormat[] = [awsVpc, awsVpcParquet, records];
