{{/* Lines of paths that a live schema knows and the new one does not: their values would be pruned. */}}
{{- define "penstock-crds.lost" -}}
{{- $new := .new -}}
{{- $path := .path -}}
{{- if not (get $new "x-kubernetes-preserve-unknown-fields") -}}
{{- $known := get $new "properties" | default dict -}}
{{- range $name, $live := get .live "properties" | default dict -}}
{{- if hasKey $known $name -}}
{{- include "penstock-crds.lost" (dict "live" $live "new" (get $known $name) "path" (printf "%s.%s" $path $name)) -}}
{{- else -}}
{{- printf "%s.%s\n" $path $name -}}
{{- end -}}
{{- end -}}
{{- range $inner := list "items" "additionalProperties" -}}
{{- $live := get $.live $inner -}}
{{- if and (kindIs "map" $live) (kindIs "map" (get $new $inner)) -}}
{{- include "penstock-crds.lost" (dict "live" $live "new" (get $new $inner) "path" (printf "%s[]" $path)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuse a definition that would lose what objects hold. */}}
{{- define "penstock-crds.check" -}}
{{- $name := .crd.metadata.name -}}
{{- $ours := index .root.Chart.Annotations "penstock.dev/schema-version" | int -}}
{{- $cure := "Install a chart that is as new, or set allowDataLoss=true after a backup of these objects." -}}
{{- with lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $name -}}
{{- $theirs := dig "annotations" "penstock.dev/schema-version" "0" .metadata | int -}}
{{- if gt $theirs $ours -}}
{{- fail (printf "%s: the cluster has schema version %d, this chart has %d: a downgrade would lose data. %s" $name $theirs $ours $cure) -}}
{{- end -}}
{{- range $live := .spec.versions -}}
{{- range $new := $.crd.spec.versions -}}
{{- if eq $new.name $live.name -}}
{{- $lost := include "penstock-crds.lost" (dict "path" "spec" "live" $live.schema.openAPIV3Schema.properties.spec "new" $new.schema.openAPIV3Schema.properties.spec) | trim -}}
{{- if $lost -}}
{{- fail (printf "%s: the cluster's definition knows fields that this chart's does not, and would lose them: %s. %s" $name (splitList "\n" $lost | join ", ") $cure) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
