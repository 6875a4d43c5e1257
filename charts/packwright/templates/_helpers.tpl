{{- define "packwright.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The release alone, where its name says what it is. */}}
{{- define "packwright.fullname" -}}
{{- $name := include "packwright.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "packwright.serviceAccountName" -}}
{{- if or .Values.serviceAccount.create .Values.serviceAccount.name }}
{{- default (include "packwright.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- fail "serviceAccount.name: expected the name of the ServiceAccount that is there, as serviceAccount.create is false" }}
{{- end }}
{{- end }}

{{- define "packwright.selectorLabels" -}}
app.kubernetes.io/name: {{ include "packwright.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "packwright.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "packwright.selectorLabels" . }}
{{- with .Values.additionalLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels, and annotations where there are some; the argument: the context and the annotations of this object. */}}
{{- define "packwright.metadata" -}}
{{- $context := index . 0 -}}
labels:
  {{- include "packwright.labels" $context | nindent 2 }}
{{- with merge (dict) (index . 1 | default dict) ($context.Values.additionalAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Whether a value is given: 0 is one. */}}
{{- define "packwright.isSet" -}}
{{- if not (has (toString .) (list "" "<nil>")) }}yes{{ end }}
{{- end }}

{{- define "packwright.image" -}}
{{- with .Values.controller.image }}
{{- if hasSuffix "karpenter/controller" .repository }}
{{- fail (printf "controller.image.repository: expected the image of Packwright, found %s, which is Karpenter's" .repository) }}
{{- end }}
{{- .repository }}:{{ default $.Chart.AppVersion .tag }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}

{{- define "packwright.containerSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
runAsGroup: 65532
runAsNonRoot: true
runAsUser: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Affinity whose terms about pods are about this Deployment, where they do not say about which. */}}
{{- define "packwright.affinity" -}}
{{- $selector := dict "matchLabels" (include "packwright.selectorLabels" . | fromYaml) }}
{{- $affinity := deepCopy .Values.affinity }}
{{- range $kind := list "podAffinity" "podAntiAffinity" }}
{{- range $term := dig $kind "requiredDuringSchedulingIgnoredDuringExecution" list $affinity }}
{{- if not (hasKey $term "labelSelector") }}{{- $_ := set $term "labelSelector" $selector }}{{- end }}
{{- end }}
{{- range $weighted := dig $kind "preferredDuringSchedulingIgnoredDuringExecution" list $affinity }}
{{- $term := $weighted.podAffinityTerm }}
{{- if not (hasKey $term "labelSelector") }}{{- $_ := set $term "labelSelector" $selector }}{{- end }}
{{- end }}
{{- end }}
{{- toYaml $affinity }}
{{- end }}

{{- define "packwright.topologySpreadConstraints" -}}
{{- $selector := dict "matchLabels" (include "packwright.selectorLabels" . | fromYaml) }}
{{- $constraints := list }}
{{- range .Values.topologySpreadConstraints }}
{{- $constraints = append $constraints (merge (dict) . (dict "labelSelector" $selector)) }}
{{- end }}
{{- toYaml $constraints }}
{{- end }}

{{/* NodeRepair=false,... of nodeRepair: false, ... */}}
{{- define "packwright.featureGates" -}}
{{- $gates := list }}
{{- range $name, $value := .Values.settings.featureGates }}
{{- $gates = append $gates (printf "%s%s=%t" (upper (substr 0 1 $name)) (substr 1 -1 $name) $value) }}
{{- end }}
{{- join "," $gates }}
{{- end }}

{{/* default=12.5,... */}}
{{- define "packwright.nodePoolUsdPerHour" -}}
{{- $limits := list }}
{{- range $pool, $usd := .Values.settings.limits.nodePoolUsdPerHour }}
{{- $limits = append $limits (printf "%s=%v" $pool $usd) }}
{{- end }}
{{- join "," $limits }}
{{- end }}

{{/* What the process that decides may allocate: as the value says, or half of the limit of the container, in bytes. Both processes
together stay below that limit: beyond it the kernel ends the whole container. */}}
{{- define "packwright.solverMemory" -}}
{{- $limit := dig "limits" "memory" "" (.Values.controller.resources | default dict) | toString }}
{{- if .Values.settings.solverMemory }}
{{- .Values.settings.solverMemory }}
{{- else if $limit }}
{{- $factors := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- $unit := regexFind "[kMGTi]*$" $limit }}
{{- divf (mulf (trimSuffix $unit $limit | float64) (get $factors $unit)) 2 | int64 }}
{{- end }}
{{- end }}
