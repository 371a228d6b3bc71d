{{/* A pod that asks once. Argument: dict root, name, namespace, env (a list), trust (the server's authority is mounted). */}}
{{- define "penstock.testPod" }}
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "penstock.labels" (dict "root" .root "component" "test") | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  restartPolicy: Never
  activeDeadlineSeconds: 300
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .root.Values.images.pullSecrets }}
  imagePullSecrets:
    {{- include "penstock.pullSecrets" . | trim | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "penstock.podSecurity" . | nindent 4 }}
  containers:
    - name: ask
      image: {{ include "penstock.image" (dict "root" .root "name" "penstock") }}
      imagePullPolicy: {{ .root.Values.images.pullPolicy }}
      command: [python, -c]
      args:
        - |
          {{- .root.Files.Get "files/test/ask.py" | nindent 10 }}
      env:
        {{- toYaml .env | nindent 8 }}
        {{- include "penstock.userEnvironment" . | nindent 8 }}
      resources:
        requests:
          cpu: 10m
          memory: 32Mi
        limits:
          memory: 128Mi
      securityContext:
        {{- include "penstock.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if .trust }}
        - name: server-ca
          mountPath: /etc/penstock/server-ca
          readOnly: true
        {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 16Mi
    {{- if .trust }}
    - name: server-ca
      secret:
        secretName: penstock-server-tls
        items:
          - key: ca.crt
            path: ca.crt
    {{- end }}
{{- end }}
