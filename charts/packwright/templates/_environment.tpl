{{/* The settings as variables of the container. */}}
{{- define "packwright.environment" -}}
{{- $settings := .Values.settings -}}
{{- include "packwright.check" . -}}
- name: LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
- name: LOG_OUTPUT_PATHS
  value: {{ join "," .Values.logOutputPaths | quote }}
- name: LOG_ERROR_OUTPUT_PATHS
  value: {{ join "," .Values.logErrorOutputPaths | quote }}
- name: METRICS_PORT
  value: {{ include "packwright.plain" .Values.controller.metrics.port | quote }}
- name: HEALTH_PROBE_PORT
  value: {{ include "packwright.plain" .Values.controller.healthProbe.port | quote }}
- name: KARPENTER_SERVICE
  value: {{ include "packwright.fullname" . | quote }}
- name: BATCH_MAX_DURATION
  value: {{ $settings.batchMaxDuration | quote }}
- name: BATCH_IDLE_DURATION
  value: {{ $settings.batchIdleDuration | quote }}
- name: PREFERENCE_POLICY
  value: {{ $settings.preferencePolicy | quote }}
- name: MIN_VALUES_POLICY
  value: {{ $settings.minValuesPolicy | quote }}
- name: IGNORE_DRA_REQUESTS
  value: {{ $settings.ignoreDRARequests | quote }}
- name: VM_MEMORY_OVERHEAD_PERCENT
  value: {{ include "packwright.plain" $settings.vmMemoryOverheadPercent | quote }}
- name: RESERVED_ENIS
  value: {{ include "packwright.plain" $settings.reservedENIs | quote }}
- name: FEATURE_GATES
  value: {{ include "packwright.featureGates" . | quote }}
{{- with $settings.clusterName }}
- name: CLUSTER_NAME
  value: {{ include "packwright.plain" . | quote }}
{{- end }}
{{- if $settings.kwok }}
- name: PACKWRIGHT_KWOK
  value: "true"
{{- end }}
{{- with $settings.clusterEndpoint }}
- name: CLUSTER_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with $settings.clusterCABundle }}
- name: CLUSTER_CA_BUNDLE
  value: {{ . | quote }}
{{- end }}
{{- with $settings.interruptionQueue }}
- name: INTERRUPTION_QUEUE
  value: {{ include "packwright.plain" . | quote }}
{{- end }}
- name: ISOLATED_VPC
  value: {{ $settings.isolatedVPC | quote }}
- name: ENABLE_ZONAL_SHIFT
  value: {{ $settings.enableZonalShift | quote }}
- name: DISABLE_CLUSTER_STATE_OBSERVABILITY
  value: {{ $settings.disableClusterStateObservability | quote }}
- name: DISABLE_DRY_RUN
  value: {{ $settings.disableDryRun | quote }}
- name: AMI_REFRESH_INTERVAL
  value: {{ $settings.amiRefreshInterval | quote }}
- name: SUBNET_REFRESH_INTERVAL
  value: {{ $settings.subnetRefreshInterval | quote }}
- name: PACKWRIGHT_SPOT_PRICE_INTERVAL
  value: {{ $settings.spotPriceInterval | quote }}
- name: PLACEMENT
  value: {{ $settings.placement | quote }}
- name: SHADOW
  value: {{ $settings.shadow | quote }}
- name: PACKWRIGHT_CONSOLIDATION
  value: {{ $settings.consolidation | quote }}
- name: PACKWRIGHT_TIME_LIMIT
  value: {{ $settings.timeLimit | quote }}
{{- with include "packwright.solverMemory" . }}
- name: PACKWRIGHT_SOLVER_MEMORY
  value: {{ . | quote }}
{{- end }}
{{- if $settings.decisions.keep }}
- name: PACKWRIGHT_DECISIONS
  value: /var/lib/packwright/decisions
- name: PACKWRIGHT_DECISIONS_KEPT
  value: {{ include "packwright.plain" $settings.decisions.keep | quote }}
- name: PACKWRIGHT_DECISIONS_SIZE
  value: {{ include "packwright.plain" $settings.decisions.size | quote }}
{{- end }}
{{- if include "packwright.isSet" $settings.limits.nodes }}
- name: PACKWRIGHT_MAX_NODES
  value: {{ include "packwright.plain" $settings.limits.nodes | quote }}
{{- end }}
{{- if include "packwright.isSet" $settings.limits.usdPerHour }}
- name: PACKWRIGHT_MAX_USD_PER_HOUR
  value: {{ include "packwright.plain" $settings.limits.usdPerHour | quote }}
{{- end }}
{{- with include "packwright.nodePoolUsdPerHour" . }}
- name: PACKWRIGHT_NODEPOOL_MAX_USD_PER_HOUR
  value: {{ . | quote }}
{{- end }}
{{- if include "packwright.isSet" $settings.limits.launchesPerMinute }}
- name: PACKWRIGHT_MAX_LAUNCHES_PER_MINUTE
  value: {{ include "packwright.plain" $settings.limits.launchesPerMinute | quote }}
{{- end }}
{{- if include "packwright.isSet" $settings.limits.solverSecondsPerHour }}
- name: PACKWRIGHT_MAX_SOLVER_SECONDS_PER_HOUR
  value: {{ include "packwright.plain" $settings.limits.solverSecondsPerHour | quote }}
{{- end }}
{{- if include "packwright.isSet" $settings.limits.evictionsPerHour }}
- name: PACKWRIGHT_MAX_EVICTIONS_PER_HOUR
  value: {{ include "packwright.plain" $settings.limits.evictionsPerHour | quote }}
{{- end }}
{{- end }}
