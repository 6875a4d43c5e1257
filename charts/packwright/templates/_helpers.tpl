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

{{/* A number as people write it: numbers of a file are floats, and large ones would be 1e+06. */}}
{{- define "packwright.plain" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* A quantity of memory in bytes. */}}
{{- define "packwright.bytes" -}}
{{- $text := include "packwright.plain" . }}
{{- $factors := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- $unit := regexFind "[kMGTi]*$" $text }}
{{- mulf (trimSuffix $unit $text | float64) (get $factors $unit) | int64 }}
{{- end }}

{{/* Seconds of a duration such as 1h30m. */}}
{{- define "packwright.seconds" -}}
{{- $units := dict "ns" 0.000000001 "us" 0.000001 "ms" 0.001 "s" 1 "m" 60 "h" 3600 "d" 86400 "w" 604800 }}
{{- $sum := 0.0 }}
{{- range regexFindAll "[0-9.]+[a-z]+" . -1 }}
{{- $unit := regexFind "[a-z]+" . }}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $units $unit)) }}
{{- end }}
{{- $sum }}
{{- end }}

{{/* By how much counters grew; the argument: the counters, and within which time. To Prometheus a counter that is born at 200 did not
grow, and a process that begins to lead counts at once: of those that nobody saw in the day before, all is new. */}}
{{- define "packwright.increase" -}}
{{- $counters := index . 0 }}
{{- $time := index . 1 -}}
({{ $counters }} unless present_over_time({{ $counters }}[1d] offset {{ $time }})) or increase({{ $counters }}[{{ $time }}])
{{- end }}

{{/* Values that are well each by itself, and not beside one another. */}}
{{- define "packwright.check" -}}
{{- $settings := .Values.settings }}
{{- if and $settings.interruptionQueue (not $settings.clusterName) }}
{{- fail "settings.interruptionQueue: expected settings.clusterName beside it" }}
{{- end }}
{{- if and $settings.kwok $settings.clusterName }}
{{- fail "settings.kwok: expected false beside settings.clusterName, with which nodes are instances of EC2" }}
{{- end }}
{{- if not (or $settings.kwok $settings.clusterName) }}
{{- fail "settings.clusterName: expected the name of the cluster; or settings.kwok=true, for nodes without machines in a cluster that is there to try it" }}
{{- end }}
{{- range $name := list "amiRefreshInterval" "subnetRefreshInterval" "spotPriceInterval" }}
{{- if lt (include "packwright.seconds" (get $settings $name) | float64) 60.0 }}
{{- fail (printf "settings.%s: expected a minute or more, such as 5m, found %s" $name (get $settings $name)) }}
{{- end }}
{{- end }}
{{- if eq (include "packwright.seconds" $settings.timeLimit | float64) 0.0 }}
{{- fail "settings.timeLimit: expected more than nothing, such as 2s" }}
{{- end }}
{{- if and $settings.clusterCABundle (not (contains "-----BEGIN CERTIFICATE-----" (b64dec $settings.clusterCABundle))) }}
{{- fail "settings.clusterCABundle: expected a certificate, PEM in base64" }}
{{- end }}
{{- if eq (int .Values.controller.metrics.port) (int .Values.controller.healthProbe.port) }}
{{- fail "controller.healthProbe.port: expected another port than controller.metrics.port" }}
{{- end }}
{{- if lt (include "packwright.bytes" $settings.decisions.sizeLimit | int64) (include "packwright.bytes" $settings.decisions.size | int64) }}
{{- fail "settings.decisions.sizeLimit: expected more than settings.decisions.size: a pod that needs more than it is evicted" }}
{{- end }}
{{- end }}

{{- define "packwright.image" -}}
{{- with .Values.controller.image }}
{{- if regexMatch "(^|/)karpenter(/controller)?$" .repository }}
{{- fail (printf "controller.image.repository: expected the image of Packwright, found %s, which is Karpenter's" .repository) }}
{{- end }}
{{- if and (regexMatch "^v?1\\." (toString .tag)) (not (hasPrefix "1." $.Chart.AppVersion)) }}
{{- fail (printf "controller.image.tag: expected a version of Packwright, such as %s, found %s, which is Karpenter's: with its values set controller.image.tag= and controller.image.digest=" $.Chart.AppVersion .tag) }}
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
{{- $limits = append $limits (printf "%s=%s" $pool (include "packwright.plain" $usd)) }}
{{- end }}
{{- join "," $limits }}
{{- end }}

{{/* What the process that decides may allocate: as the value says, or half of the limit of the container, in bytes. Both processes
together stay below that limit: beyond it the kernel ends the whole container. */}}
{{- define "packwright.solverMemory" -}}
{{- $limit := dig "limits" "memory" "" (.Values.controller.resources | default dict) }}
{{- if .Values.settings.solverMemory }}
{{- include "packwright.plain" .Values.settings.solverMemory }}
{{- else if $limit }}
{{- div (include "packwright.bytes" $limit | int64) 2 }}
{{- end }}
{{- end }}
