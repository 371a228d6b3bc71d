{{/* Labels of every object. Argument: dict root, component. */}}
{{- define "penstock.labels" -}}
{{ include "penstock.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* What selects the pods of a component. Argument: dict root, component. */}}
{{- define "penstock.selector" -}}
app.kubernetes.io/name: penstock
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{/* An image by digest, or by tag. Argument: dict root, name (a key of .Values.images). */}}
{{- define "penstock.image" -}}
{{- $image := index .root.Values.images .name -}}
{{- $place := printf "%s/%s" .root.Values.images.registry $image.name -}}
{{- if $image.digest -}}
{{ $place }}@{{ $image.digest }}
{{- else -}}
{{ $place }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Operator, CertManager or Off. An authority of the operator's own is not given up because cert-manager came. */}}
{{- define "penstock.tls" -}}
{{- if ne .Values.tls.mode "Auto" -}}
{{ .Values.tls.mode }}
{{- else if lookup "v1" "Secret" .Release.Namespace "penstock-ca" -}}
Operator
{{- else if .Capabilities.APIVersions.Has "cert-manager.io/v1" -}}
CertManager
{{- else -}}
Operator
{{- end -}}
{{- end -}}

{{/* The server's Service as a URL. */}}
{{- define "penstock.serverURL" -}}
{{ ternary "http" "https" (eq (include "penstock.tls" .) "Off") }}://penstock-server.{{ .Release.Namespace }}.svc:8090
{{- end -}}

{{/* The Secret that holds the database's URL; empty: SQLite. */}}
{{- define "penstock.databaseSecret" -}}
{{ .Values.server.postgresql.urlSecret.name }}
{{- end -}}

{{/* How many servers run. */}}
{{- define "penstock.serverReplicas" -}}
{{ .Values.server.replicas | default (ternary 2 1 (ne (include "penstock.databaseSecret" .) "")) }}
{{- end -}}

{{/* Rules of the table. Argument: dict root, process, scopes; a list of rules under `rules`. */}}
{{- define "penstock.rules" -}}
{{- $table := .root.Files.Get "files/rbac.yaml" | fromYaml -}}
{{- $rules := list -}}
{{- range .scopes -}}
{{- $rules = concat $rules (index $table $.process .) -}}
{{- end -}}
{{- toYaml (dict "rules" $rules) -}}
{{- end -}}
