{{/* Folders of the host that an engine keeps its containers in. */}}
{{- define "capture.engineFolders" -}}
{{- $folders := dict
  "containerd" (list "/run/containerd")
  "crio" (list "/run/crio" "/run/containers" "/var/lib/containers")
  "docker" (list "/run/docker" "/run/containerd" "/var/lib/docker/containers") -}}
{{- if not (hasKey $folders .Values.engine) -}}
{{- fail (printf "engine %q is not known: containerd, crio or docker" .Values.engine) -}}
{{- end -}}
{{- get $folders .Values.engine | toJson -}}
{{- end -}}
