/* Policies of every kind, as texts. `spec` is what stands between the braces. */

function object(apiVersion: string, kind: string, title: string, spec: string): string {
  const [name, namespace] = title.split("/").reverse();
  const metadata = namespace === undefined ? `{name: ${name}}` : `{name: ${name}, namespace: ${namespace}}`;
  return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: ${metadata}\nspec: {${spec}}\n`;
}

export const networkPolicy = (title: string, spec: string): string => object("networking.k8s.io/v1", "NetworkPolicy", title, spec);
export const adminPolicy = (name: string, spec: string): string =>
  object("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", name, spec);
export const baselinePolicy = (spec: string): string =>
  object("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy", "default", spec);
export const clusterPolicy = (name: string, spec: string): string =>
  object("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", name, spec);
export const ciliumPolicy = (title: string, spec: string): string => object("cilium.io/v2", "CiliumNetworkPolicy", title, spec);
export const clusterwidePolicy = (name: string, spec: string): string =>
  object("cilium.io/v2", "CiliumClusterwideNetworkPolicy", name, spec);
/** Calico's, by kind. */
export const calico = (kind: string, title: string, spec: string): string => object("projectcalico.org/v3", kind, title, spec);
export const audit = (kind: string, title: string, spec: string): string => object("kguardian.dev/v1alpha1", kind, title, spec);

const DENY_ALL = "subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]";

/** One of each kind. */
export const ALL_KINDS: Readonly<Record<string, string>> = {
  NetworkPolicy: networkPolicy("shop/np", "podSelector: {}"),
  AuditNetworkPolicy: audit("AuditNetworkPolicy", "shop/anp", "podSelector: {}"),
  AdminNetworkPolicy: adminPolicy("admin", `priority: 5, ${DENY_ALL}`),
  BaselineAdminNetworkPolicy: baselinePolicy(DENY_ALL),
  ClusterNetworkPolicy: clusterPolicy("cluster", `tier: Admin, priority: 4, ${DENY_ALL}`),
  CiliumNetworkPolicy: ciliumPolicy("shop/cnp", "endpointSelector: {}, ingress: [{}]"),
  CiliumClusterwideNetworkPolicy: clusterwidePolicy("ccnp", "endpointSelector: {}, ingress: [{}]"),
  "NetworkPolicy.projectcalico.org": calico("NetworkPolicy", "shop/calico", "selector: all()"),
  GlobalNetworkPolicy: calico(
    "GlobalNetworkPolicy",
    "global",
    "ingress: [{action: Deny, source: {notSelector: app == 'x'}, destination: {nets: [10.0.0.0/8]}}]",
  ),
};
