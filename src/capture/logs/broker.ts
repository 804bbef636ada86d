import { type Fields, shown } from "./fields.ts";
import { BadRecord, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";

const TRAFFIC_FIELDS = ["pod_ip", "traffic_type", "traffic_in_out_ip", "traffic_in_out_port", "ip_protocol"];

/**
 * What a kguardian broker answers to `GET /pod/traffic`, saved as a file. A row is one end's view of a connection: whoever reads the
 * rows joins them with the cluster's objects, as rows of a live broker are.
 */
export const broker: ObjectFormat = {
  name: "broker",
  title: "kguardian broker export",
  unit: "object",
  recognizes: ({ objects }: LogHead) => objects.some(isTraffic),
  open: ({ sink }: LogContext) => ({
    read(object) {
      if (isTraffic(object)) sink.handOn(object);
      else if ("pod_name" in object || "svc_name" in object || "policy_name" in object)
        sink.skip("record of a pod, Service or audit verdict (traffic alone is read here)");
      else throw new BadRecord(`no row of traffic \`${shown(object)}\``);
    },
  }),
};

function isTraffic(object: Fields): boolean {
  return TRAFFIC_FIELDS.every((name) => name in object);
}
