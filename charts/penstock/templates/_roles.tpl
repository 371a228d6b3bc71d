{{/* A Role of the operator's and its binding. Argument: dict root, name, namespace, scopes. */}}
{{- define "penstock.role" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "penstock.labels" (dict "root" .root "component" "operator") | nindent 4 }}
{{ include "penstock.rules" (dict "root" .root "process" "operator" "scopes" .scopes) }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "penstock.labels" (dict "root" .root "component" "operator") | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: penstock-operator
    namespace: {{ .root.Release.Namespace }}
{{- end }}
