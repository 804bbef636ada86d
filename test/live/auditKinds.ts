/** As much of the project's own CRDs (audit policies) as the API server needs to keep their objects: one text for `kubectl apply -f -`. */
export const AUDIT_CRDS = [
  ["AuditNetworkPolicy", "auditnetworkpolicies", "Namespaced"],
  ["AuditClusterNetworkPolicy", "auditclusternetworkpolicies", "Cluster"],
]
  .map(([kind, plural, scope]) =>
    JSON.stringify({
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: `${plural}.kguardian.dev` },
      spec: {
        group: "kguardian.dev",
        scope,
        names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
        versions: [
          {
            name: "v1alpha1",
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
          },
        ],
      },
    }),
  )
  .join("\n");
