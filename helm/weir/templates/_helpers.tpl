{{/* Names and labels. */}}
{{- define "weir.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "weir.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "weir.selector" -}}
app.kubernetes.io/name: {{ include "weir.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end }}

{{/* Labels of an object of the given "component". */}}
{{- define "weir.labels" -}}
{{- with .root -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "weir.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "weir.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "weir.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{- define "weir.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Whether a Redis joins the pods. */}}
{{- define "weir.clustered" -}}
{{- if or .Values.tryoutRedis.enabled (ne .Values.redis.mode "none") }}true{{ end -}}
{{- end }}

{{/* URL of Redis. A password from an existing Secret is the variable $(REDIS_PASSWORD). */}}
{{- define "weir.redisUrl" -}}
{{- if .Values.tryoutRedis.enabled -}}
redis://{{ include "weir.fullname" . }}-redis:6379
{{- else -}}
{{- with .Values.redis -}}
{{- $scheme := get (dict "standalone" "redis" "sentinel" "redis-sentinel" "cluster" "redis-cluster") .mode -}}
{{- if .tls.enabled }}{{ $scheme = replace "redis" "rediss" $scheme }}{{ end -}}
{{- $password := "" -}}
{{- if .existingSecret.name }}{{ $password = "$(REDIS_PASSWORD)" }}
{{- else if .password }}{{ $password = .password | urlquery | replace "+" "%20" }}{{ end -}}
{{- $user := "" -}}
{{- if or .username $password }}{{ $user = printf "%s%s@" (.username | urlquery | replace "+" "%20") (ternary (printf ":%s" $password) "" (ne $password "")) }}{{ end -}}
{{- $query := list -}}
{{- if eq .mode "sentinel" }}{{ $query = append $query (printf "master=%s" (.sentinelMaster | urlquery | replace "+" "%20")) }}{{ end -}}
{{- range rest .hosts }}{{ $query = append $query (printf "node=%s" .) }}{{ end -}}
{{ $scheme }}://{{ $user }}{{ first .hosts }}
{{- if and .database (ne .mode "cluster") }}/{{ .database }}{{ end }}
{{- if $query }}?{{ join "&" $query }}{{ end }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Whether the chart creates a Secret with the URL and the Sentinels' password. */}}
{{- define "weir.ownSecret" -}}
{{- if and (ne .Values.redis.mode "none") (or .Values.redis.password .Values.redis.sentinelPassword) (not .Values.redis.existingSecret.name) (not .Values.tryoutRedis.enabled) }}true{{ end -}}
{{- end }}

{{/* Configuration file of the nodes. */}}
{{- define "weir.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $log := $config.log | default dict -}}
{{- if not (hasKey $log "format") }}{{ $_ := set $config "log" (merge (dict "format" "json") $log) }}{{ end -}}
{{- with .Values.telemetry.endpoint -}}
{{- $telemetry := dict "otlp_endpoint" . "otlp_protocol" $.Values.telemetry.protocol -}}
{{- $_ := set $config "telemetry" (merge $telemetry ($config.telemetry | default dict)) -}}
{{- end -}}
{{- $proxies := .Values.trustedProxies -}}
{{- if and .Values.ingress.enabled (eq .Values.ingress.preset "gke") }}{{ $proxies = concat $proxies (list "130.211.0.0/22" "35.191.0.0/16") }}{{ end -}}
{{- $server := dict "listen" "0.0.0.0:8080" "ops_listen" "0.0.0.0:8081" "trusted_proxies" $proxies "proxy_protocol" .Values.proxyProtocol -}}
{{- $_ := set $config "server" (merge $server ($config.server | default dict)) -}}
{{- /* Without an ingress, a load balancer may hide all clients behind one address. */ -}}
{{- $named := or .Values.ingress.enabled .Values.httpRoute.enabled (eq .Values.proxyProtocol "required") -}}
{{- if not (or $named (hasKey $config.server "max_connections_per_address")) -}}
{{- $_ := set $config.server "max_connections_per_address" 0 -}}
{{- end -}}
{{- range $section, $keys := $config }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ $value | toJson }}
{{- end }}
{{ end }}
{{- end }}

{{/* Refuses conflicting values. */}}
{{- define "weir.guard" -}}
{{- $drain := .Values.config.drain | default dict -}}
{{- $deadline := 25000 -}}
{{- if hasKey $drain "deadline_ms" }}{{ $deadline = int $drain.deadline_ms }}{{ end -}}
{{- $needed := add (.Values.preStopSleepSeconds | int) (div (add $deadline 999) 1000) 5 -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (int $needed) -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, and must be at least %d: preStopSleepSeconds (%d), config.drain.deadline_ms (%d) and 5 s" (int .Values.terminationGracePeriodSeconds) $needed (int .Values.preStopSleepSeconds) $deadline) -}}
{{- end -}}
{{- if and (gt (int .Values.preStopSleepSeconds) 0) (semverCompare "<1.30.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "preStopSleepSeconds needs Kubernetes 1.30 or later; this is %s" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- $most := .Values.replicaCount -}}
{{- if .Values.autoscaling.enabled }}{{ $most = .Values.autoscaling.maxReplicas }}{{ end -}}
{{- if and (gt (int $most) 1) (not (include "weir.clustered" .)) -}}
{{- fail (printf "%d pods need a Redis that joins them: set redis.mode and redis.hosts, or tryoutRedis.enabled to try things out; or replicaCount to 1" (int $most)) -}}
{{- end -}}
{{- if and .Values.tryoutRedis.enabled (ne .Values.redis.mode "none") -}}
{{- fail (printf "tryoutRedis.enabled and redis.mode %s exclude each other" .Values.redis.mode) -}}
{{- end -}}
{{- if and (ne .Values.redis.mode "none") (not .Values.redis.hosts) (not .Values.redis.existingSecret.urlKey) -}}
{{- fail (printf "redis.mode is %s, so redis.hosts must say where it is (or redis.existingSecret.urlKey)" .Values.redis.mode) -}}
{{- end -}}
{{- if and (eq .Values.redis.mode "none") .Values.redis.hosts -}}
{{- fail (printf "redis.hosts is set (%s), so redis.mode must say what is there" (join ", " .Values.redis.hosts)) -}}
{{- end -}}
{{- if and .Values.redis.existingSecret.urlKey (not .Values.redis.existingSecret.name) -}}
{{- fail "redis.existingSecret.urlKey is set, so redis.existingSecret.name must be" -}}
{{- end -}}
{{- if and (ne .Values.redis.mode "sentinel") (or .Values.redis.sentinelUsername .Values.redis.sentinelPassword .Values.redis.existingSecret.sentinelPasswordKey) -}}
{{- fail (printf "redis.mode is %s, so there are no Sentinels: leave redis.sentinelUsername, redis.sentinelPassword and redis.existingSecret.sentinelPasswordKey empty" .Values.redis.mode) -}}
{{- end -}}
{{- if and .Values.redis.sentinelUsername (not (or .Values.redis.sentinelPassword .Values.redis.existingSecret.sentinelPasswordKey)) -}}
{{- fail "redis.sentinelUsername needs redis.sentinelPassword or redis.existingSecret.sentinelPasswordKey beside it" -}}
{{- end -}}
{{- if and (eq .Values.redis.mode "cluster") (gt (int .Values.redis.database) 0) -}}
{{- fail (printf "redis.database is %d, and a Redis Cluster has only database 0" (int .Values.redis.database)) -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- with .Values.autoscaling -}}
{{- if lt (int .maxReplicas) (int .minReplicas) -}}
{{- fail (printf "autoscaling.maxReplicas is %d, less than autoscaling.minReplicas, %d" (int .maxReplicas) (int .minReplicas)) -}}
{{- end -}}
{{- if not (or .cpuPercent .connections .egressBytesPerSecond) -}}
{{- fail "autoscaling.enabled needs one of autoscaling.cpuPercent, autoscaling.connections and autoscaling.egressBytesPerSecond" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: which Gateways it belongs to" -}}
{{- end -}}
{{- range $section, $keys := dict "server" (list "listen" "ops_listen" "trusted_proxies" "proxy_protocol") "redis" (list "url" "sentinel_username" "sentinel_password") "telemetry" (ternary (list "otlp_endpoint" "otlp_protocol") list (ne .Values.telemetry.endpoint "")) -}}
{{- $given := get $.Values.config $section | default dict -}}
{{- range $keys -}}
{{- if hasKey $given . -}}
{{- fail (printf "config.%s.%s is set by the chart: use the chart's own values" $section .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Environment variables of the nodes. */}}
{{- define "weir.env" -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE)
{{- $secret := .Values.redis.existingSecret }}
{{- if .Values.tryoutRedis.enabled }}
- name: WEIR_REDIS__URL
  value: {{ include "weir.redisUrl" . }}
{{- else if ne .Values.redis.mode "none" }}
{{- if and $secret.name $secret.urlKey }}
- name: WEIR_REDIS__URL
  valueFrom: { secretKeyRef: { name: {{ $secret.name }}, key: {{ $secret.urlKey | quote }} } }
{{- else if $secret.name }}
- name: REDIS_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ $secret.name }}, key: {{ $secret.passwordKey | quote }} } }
- name: WEIR_REDIS__URL
  value: {{ include "weir.redisUrl" . | quote }}
{{- else if include "weir.ownSecret" . }}
- name: WEIR_REDIS__URL
  valueFrom: { secretKeyRef: { name: {{ include "weir.fullname" . }}, key: redis-url } }
{{- else }}
- name: WEIR_REDIS__URL
  value: {{ include "weir.redisUrl" . | quote }}
{{- end }}
{{- if eq .Values.redis.mode "sentinel" }}
{{- with .Values.redis.sentinelUsername }}
- name: WEIR_REDIS__SENTINEL_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- if and $secret.name $secret.sentinelPasswordKey }}
- name: WEIR_REDIS__SENTINEL_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ $secret.name }}, key: {{ $secret.sentinelPasswordKey | quote }} } }
{{- else if and .Values.redis.sentinelPassword (include "weir.ownSecret" .) }}
- name: WEIR_REDIS__SENTINEL_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ include "weir.fullname" . }}, key: redis-sentinel-password } }
{{- end }}
{{- end }}
{{- if and .Values.redis.tls.enabled .Values.redis.tls.caSecret }}
- name: SSL_CERT_FILE
  value: /etc/weir-redis-ca/ca.crt
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
