{{/* One rule: these ports, to these networks or anywhere. Argument: a value with ports and cidrs. */}}
{{- define "penstock.egress" -}}
- ports:
    {{- range .ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .cidrs }}
  to:
    {{- range . }}
    - ipBlock:
        cidr: {{ . }}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* Names are asked for on port 53: of the cluster's DNS, or of a cache on the node, which no selector finds. */}}
{{- define "penstock.egressDNS" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end -}}

{{/* Pods of a component of this release. Argument: dict root, component. */}}
{{- define "penstock.peer" -}}
- podSelector:
    matchLabels:
      {{- include "penstock.selector" . | nindent 6 }}
{{- end -}}

{{/* Prometheus' namespace, by its label. */}}
{{- define "penstock.monitoringPeer" -}}
- namespaceSelector:
    matchLabels:
      penstock.dev/monitoring: "true"
{{- end -}}
