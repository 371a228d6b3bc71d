{{/* What Pod Security restricted asks of a pod: one user without rights. */}}
{{- define "penstock.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* And of a container: no rights to gain, nothing to write to but the volumes. */}}
{{- define "penstock.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end -}}

{{/* A home and a name, which Python asks for where the image lists no user. */}}
{{- define "penstock.userEnvironment" -}}
- name: HOME
  value: /tmp
- name: LOGNAME
  value: penstock
- name: USER
  value: penstock
{{- end -}}

{{/* Which Secrets pull, and where pods may run. Argument: dict root, component, values. Of a roll-out only the new pods count for the spread. */}}
{{- define "penstock.scheduling" -}}
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- include "penstock.pullSecrets" . | trim | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "penstock.selector" . | nindent 8 }}
affinity:
  podAntiAffinity:
    {{- if eq .root.Values.spread "Required" }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - {{- include "penstock.otherNode" . | nindent 8 }}
    {{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          {{- include "penstock.otherNode" . | nindent 10 }}
    {{- end }}
{{- end -}}

{{/* Nodes apart, as an affinity: as a constraint beside that of the zones it would count for nothing where nodes have no zone. */}}
{{- define "penstock.otherNode" -}}
topologyKey: kubernetes.io/hostname
matchLabelKeys: [pod-template-hash]
labelSelector:
  matchLabels:
    {{- include "penstock.selector" . | nindent 4 }}
{{- end -}}

{{/* Secrets to pull with, as references. */}}
{{- define "penstock.pullSecrets" -}}
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end -}}
