{{/* What git-sync may do, and nothing else: it steers no traffic, and reads no Secrets by the API. */}}
{{- define "sluice.git-sync.rules" -}}
- apiGroups: [sluice.dev]
  resources: [canaries]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [podtemplates]            # the snapshots of revisions: their images and verdicts
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods]                    # by which digest a revision runs
  verbs: [list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* Another name than the controller's: its pods must not be taken for the controller's own. */}}
{{- define "sluice.git-sync.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}-git-sync
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .namespace }}
sluice.dev/watches: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "sluice.git-sync.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{ include "sluice.git-sync.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{- define "sluice.git-sync.image" -}}
{{- $image := .Values.gitSync.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/*
The variables that the chart sets, by name: nobody else may. What is empty is left to the program's own default.
*/}}
{{- define "sluice.git-sync.variables" -}}
{{- $git := .root.Values.gitSync -}}
SLUICE_NAMESPACE: {{ .namespace | default "" | quote }}
SLUICE_GIT_REPOSITORY: {{ $git.repository | quote }}
SLUICE_GIT_BRANCH: {{ $git.branch | quote }}
SLUICE_GIT_PATHS: {{ join "," $git.paths | quote }}
SLUICE_GIT_ON_REJECTION: {{ $git.onRejection | quote }}
SLUICE_GIT_AUTHOR: {{ $git.author | quote }}
SLUICE_GIT_INTERVAL: {{ $git.interval | quote }}
SLUICE_GIT_CREDENTIALS_DIR: {{ ternary "/etc/sluice-git" "" (ne $git.credentialsSecret "") | quote }}
SLUICE_LOG: {{ .root.Values.log.filter | quote }}
SLUICE_LOG_FORMAT: {{ .root.Values.log.format | quote }}
HOME: /tmp                             # of git
{{- end -}}
