{{/* What objects are called: the release's name, with the chart's in it. */}}
{{- define "sluice.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The processes that act, as [{name, namespace}]: one for the cluster, with an empty namespace, or one for each namespace
that is watched, since a process watches one or all.
*/}}
{{- define "sluice.instances" -}}
{{- $full := include "sluice.fullname" . -}}
{{- range .Values.watchNamespaces }}
- {name: {{ printf "%s-%s" $full . | quote }}, namespace: {{ . | quote }}}
{{- else }}
- {name: {{ $full | quote }}, namespace: ""}
{{- end }}
{{- end -}}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .namespace }}
sluice.dev/watches: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "sluice.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{ include "sluice.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{- define "sluice.account" -}}
{{- if .root.Values.serviceAccount.create -}}
{{- .name -}}
{{- else -}}
{{- .root.Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "sluice.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}
