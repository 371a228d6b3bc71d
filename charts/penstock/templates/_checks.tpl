{{/* Refusals that a schema cannot say: field, value, reason, cure. Those that look at the cluster hold where there is one. */}}
{{- define "penstock.check" -}}
{{- include "penstock.checkNamespaces" . -}}
{{- include "penstock.checkPlanner" . -}}
{{- include "penstock.checkServer" . -}}
{{- include "penstock.checkGateways" . -}}
{{- if lookup "v1" "Namespace" "" "kube-system" -}}
{{- include "penstock.checkCluster" . -}}
{{- end -}}
{{- end -}}

{{- define "penstock.checkNamespaces" -}}
{{- if .Values.watchNamespaces -}}
{{- range $index, $name := .Values.secretNamespaces -}}
{{- if not (has $name $.Values.watchNamespaces) -}}
{{- fail (printf "secretNamespaces[%d]: %s: the operator does not watch it, and would not start. Add the namespace to watchNamespaces, or take it off this list." $index $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "penstock.checkPlanner" -}}
{{- with index .Values.planner.exchangeRates .Values.planner.currency -}}
{{- fail (printf "planner.exchangeRates.%s: %s: planner.currency is worth 1 of itself. Leave it out." $.Values.planner.currency .) -}}
{{- end -}}
{{- if .Values.watchNamespaces -}}
{{- range $name, $most := .Values.planner.namespaceMaxPricePerHour -}}
{{- if not (has $name $.Values.watchNamespaces) -}}
{{- fail (printf "planner.namespaceMaxPricePerHour.%s: %s: the operator does not watch this namespace, and would not start. Add it to watchNamespaces, or take it off here." $name $most) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "penstock.checkServer" -}}
{{- $replicas := include "penstock.serverReplicas" . | int -}}
{{- if and (gt $replicas 1) (not (include "penstock.databaseSecret" .)) -}}
{{- fail (printf "server.replicas: %d: SQLite serves one replica. Name a Secret with PostgreSQL's URL in server.postgresql.urlSecret, or leave it at 1." $replicas) -}}
{{- end -}}
{{- if and (eq (include "penstock.tls" .) "Off") (hasPrefix "https://" .Values.server.gatewayURL) -}}
{{- fail (printf "server.gatewayURL: %s: with tls.mode Off the server speaks plain HTTP. Turn TLS on, or write http://." .Values.server.gatewayURL) -}}
{{- end -}}
{{- end -}}

{{- define "penstock.checkGateways" -}}
{{- range $index, $gateway := .Values.gateways -}}
{{- $field := printf "gateways[%d]" $index -}}
{{- if not $.Values.server.enabled -}}
{{- fail (printf "%s: %s: a gateway needs the server. Set server.enabled=true, or take the gateway away." $field $gateway.name) -}}
{{- end -}}
{{- if not (has $gateway.namespace $.Values.secretNamespaces) -}}
{{- fail (printf "%s.namespace: %s: the operator may not write this gateway's Secrets. Add the namespace to secretNamespaces." $field $gateway.namespace) -}}
{{- end -}}
{{- if not ($.Capabilities.APIVersions.Has "penstock.dev/v1alpha1/InferenceGateway") -}}
{{- fail (printf "%s: %s: the cluster does not serve inferencegateways.penstock.dev. Install the chart penstock-crds first (with `helm template`, pass --api-versions penstock.dev/v1alpha1/InferenceGateway)." $field $gateway.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "penstock.checkCluster" -}}
{{- if not (lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "inferencepools.penstock.dev") -}}
{{- fail "penstock: the kinds of penstock.dev are not there, and nothing would start. Install the chart penstock-crds first." -}}
{{- end -}}
{{- include "penstock.checkOther" . -}}
{{- range $field := list "secretNamespaces" "watchNamespaces" -}}
{{- range $index, $name := index $.Values $field -}}
{{- if not (lookup "v1" "Namespace" "" $name) -}}
{{- fail (printf "%s[%d]: %s: there is no such namespace, and no Role can stand in it. Create it first, or take it off the list." $field $index $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* One installation per cluster: two would place models on the same GPUs. */}}
{{- define "penstock.checkOther" -}}
{{- with lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "penstock-operator" -}}
{{- $annotations := .metadata.annotations | default dict -}}
{{- $name := get $annotations "meta.helm.sh/release-name" -}}
{{- $namespace := get $annotations "meta.helm.sh/release-namespace" -}}
{{- if not $name -}}
{{- fail "penstock: the cluster has an installation that is not Helm's (ClusterRole penstock-operator), and two would place models on the same GPUs. Delete that one with the manifests it came from, or go on with them." -}}
{{- else if or (ne $name $.Release.Name) (ne $namespace $.Release.Namespace) -}}
{{- fail (printf "penstock: the cluster has the release %s in namespace %s already, and two would place models on the same GPUs. Upgrade that one, or uninstall it first." $name $namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
