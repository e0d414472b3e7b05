{{/* What Pod Security Standard `restricted` asks for is not for values to change. */}}
{{- define "countersign.podSecurityContext" -}}
runAsNonRoot: true
{{- if .Values.podSecurity.setIds }}
runAsUser: {{ .Values.podSecurity.runAsUser }}
runAsGroup: {{ .Values.podSecurity.runAsGroup }}
fsGroup: {{ .Values.podSecurity.fsGroup }}
# Not each file of a large volume at each start.
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "countersign.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
privileged: false
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "countersign.sidecar" -}}
{{- if eq .Values.istio.sidecar.injection "disabled" }}
sidecar.istio.io/inject: "false"
{{- else if eq .Values.istio.sidecar.injection "enabled" }}
sidecar.istio.io/inject: "true"
{{- end }}
{{- end -}}

{{- define "countersign.podTemplate" -}}
{{- $annotations := dict "checksum/config" (toYaml .Values.config | sha256sum) -}}
{{- with .Values.secrets.create }}{{ $_ := set $annotations "checksum/secret" (toYaml . | sha256sum) }}{{ end -}}
{{- with .Values.istio.sidecar.excludeOutboundPorts }}{{ $_ := set $annotations "traffic.sidecar.istio.io/excludeOutboundPorts" . }}{{ end -}}
metadata:
  labels:
    {{- include "countersign.labels" (list . .Values.podLabels (include "countersign.sidecar" . | fromYaml) (dict "app.kubernetes.io/component" "gateway")) | nindent 4 }}
  {{- include "countersign.annotations" (list . .Values.podAnnotations $annotations) | nindent 2 }}
spec:
  serviceAccountName: {{ include "countersign.serviceAccount" . }}
  automountServiceAccountToken: {{ include "countersign.asksTheCluster" . }}
  # A Service named countersign would otherwise become variables that look like ours.
  enableServiceLinks: false
  {{- with include "countersign.pullSecrets" . }}
  {{- . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- include "countersign.podSecurityContext" . | nindent 4 }}
  # Lame duck, deadline, and some seconds more: docs/operations.md, "The way out".
  terminationGracePeriodSeconds: {{ include "countersign.gracePeriod" . }}
  containers:
    - name: countersign
      image: {{ include "countersign.image" (list . .Values.image) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/countersign/countersign.yaml]
      securityContext:
        {{- include "countersign.containerSecurityContext" . | nindent 8 }}
      {{- with .Values.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - {name: main, containerPort: {{ include "countersign.mainPort" . }}, protocol: TCP}
        - {name: admin, containerPort: {{ include "countersign.adminPort" . }}, protocol: TCP}
      startupProbe:
        httpGet: {path: /livez, port: admin}
        {{- toYaml .Values.probes.startup | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        {{- toYaml .Values.probes.readiness | nindent 8 }}
      livenessProbe:
        httpGet: {path: /livez, port: admin}
        {{- toYaml .Values.probes.liveness | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: etc, mountPath: /etc/countersign, readOnly: true}
        {{- if .Values.keys.existingSecret }}
        - {name: keys, mountPath: /etc/countersign-keys, readOnly: true}
        {{- end }}
        {{- if .Values.sessionKeys.existingSecret }}
        - {name: session-keys, mountPath: /etc/countersign-session-keys, readOnly: true}
        {{- end }}
        {{- /* A Deployment's pods keep nothing. */}}
        {{- if and .Values.persistence.enabled (eq .Values.workload "StatefulSet") }}
        - {name: data, mountPath: {{ include "countersign.dataDir" . | quote }}}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: etc
      projected:
        # Whoever else may read a key file has the key: it is refused unless it is ours and our group's alone.
        defaultMode: 0440
        sources:
          - configMap:
              name: {{ include "countersign.fullname" . }}
          {{- if .Values.secrets.create }}
          - secret:
              name: {{ include "countersign.fullname" . }}
          {{- end }}
          {{- range .Values.secrets.existing }}
          - secret:
              {{- toYaml . | nindent 14 }}
          {{- end }}
    {{- with .Values.keys.existingSecret }}
    # A volume of its own, for all that the Secret holds, whatever the keys are called.
    - name: keys
      secret:
        secretName: {{ . }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.sessionKeys.existingSecret }}
    - name: session-keys
      secret:
        secretName: {{ . }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ . }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if and .Values.topologySpread.enabled (or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled) }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: {{ $.Values.topologySpread.maxSkew }}
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "countersign.selectorLabels" $ | nindent 10 }}
          app.kubernetes.io/component: gateway
    {{- end }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end -}}
