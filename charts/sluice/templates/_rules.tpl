{{/* What the controller may do, and nothing else. It reads no Secrets; metricsCredentials lets it read some by name. */}}

{{/* What all share, wherever a process works. */}}
{{- define "sluice.rules.shared" -}}
- apiGroups: [sluice.dev]
  resources: [clustercanarypolicies, metrictemplates]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [namespaces]              # their labels: what is in the mesh, and by which waypoint
  verbs: [list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [grpcroutes, gateways, backendtlspolicies]   # others on the same Service, and ingress
  verbs: [list, watch]
- apiGroups: [networking.istio.io]
  resources: [virtualservices, destinationrules]   # likewise
  verbs: [list, watch]
{{- end -}}

{{/* What preflight reads beside that, at the start of a pod: nothing of it is anybody's secret. */}}
{{- define "sluice.rules.preflight" -}}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]   # of which release the kinds are
  verbs: [get]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [get, list]
{{- end -}}

{{/* In the namespaces that it works in. */}}
{{- define "sluice.rules.scoped" -}}
- apiGroups: [sluice.dev]
  resources: [canaries, canarypolicies]
  verbs: [list, watch]
- apiGroups: [sluice.dev]
  resources: [canaries]                # its finalizer
  verbs: [patch]
- apiGroups: [sluice.dev]
  resources: [canaries/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]             # revisions; spec.replicas of targets
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [podtemplates, services]  # snapshots; Services of revisions
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]              # copies that belong to a revision
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]                    # patch: the label sluice.dev/role, in strict mode
  verbs: [list, watch, patch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]  # to name one that still scales a target
  verbs: [list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [backendtlspolicies]      # copies that belong to a revision
  verbs: [create, patch, delete]
- apiGroups: [networking.istio.io]
  resources: [destinationrules]        # likewise
  verbs: [create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* One of several processes acts: the holder of this Lease. */}}
{{- define "sluice.rules.lease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]                      # a name cannot be required of what is created
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ . }}]
  verbs: [get, list, watch, update]
{{- end -}}
