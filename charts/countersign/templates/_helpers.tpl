{{- define "countersign.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "countersign.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "countersign.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What selectors know us by; a workload's cannot be changed afterwards. */}}
{{- define "countersign.selectorLabels" -}}
app.kubernetes.io/name: {{ include "countersign.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* countersign.labels: list of root and further maps of labels. The selector's win over all. */}}
{{- define "countersign.labels" -}}
{{- $root := first . -}}
{{- $labels := dict "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") "app.kubernetes.io/version" $root.Chart.AppVersion "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $labels = mustMergeOverwrite $labels (deepCopy $root.Values.commonLabels) -}}
{{- range rest . -}}{{- $labels = mustMergeOverwrite $labels (deepCopy (default dict .)) -}}{{- end -}}
{{- mustMergeOverwrite $labels (include "countersign.selectorLabels" $root | fromYaml) | toYaml -}}
{{- end -}}

{{/* countersign.annotations: list of root and further maps; with the key, or nothing. */}}
{{- define "countersign.annotations" -}}
{{- $all := deepCopy (first .).Values.commonAnnotations -}}
{{- range rest . -}}{{- $all = mustMergeOverwrite $all (deepCopy (default dict .)) -}}{{- end -}}
{{- with $all -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* countersign.image: list of root and an image. */}}
{{- define "countersign.image" -}}
{{- $root := first . -}}{{- $image := last . -}}
{{- $registry := default $image.registry $root.Values.global.imageRegistry -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest -}}@{{ $image.digest }}{{- else -}}:{{ default $root.Chart.AppVersion $image.tag }}{{- end -}}
{{- end -}}

{{- define "countersign.pullSecrets" -}}
{{- with concat .Values.global.imagePullSecrets .Values.imagePullSecrets | uniq -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "countersign.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "countersign.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Whether sessions are where all replicas find them. */}}
{{- define "countersign.sharesSessions" -}}
{{- eq (dig "session" "store" "embedded" .Values.config) "redis" -}}
{{- end -}}

{{/* The ports of Redis: those that the configuration names, and, where sentinels are asked, that of a primary. */}}
{{- define "countersign.redisPorts" -}}
{{- $redis := dig "session" "redis" dict .Values.config -}}
{{- $ports := list -}}
{{- range $redis.urls -}}
{{- $ports = append $ports (default "6379" (regexFind "[0-9]+$" (regexFind ":[0-9]+/?$" . | trimSuffix "/")) | int) -}}
{{- end -}}
{{- if eq (default "" $redis.mode) "sentinel" }}{{ $ports = append $ports 6379 }}{{ end -}}
{{- default ($ports | uniq) .Values.networkPolicy.egress.redis.ports | toJson -}}
{{- end -}}

{{/* Where `config.bearer` reviews ServiceAccounts' tokens: nothing, or the first such place. */}}
{{- define "countersign.reviewing" -}}
{{- $found := "" -}}
{{- range $index, $source := .Values.config.bearer -}}
{{- $reviews := and (eq (default "" $source.kind) "kubernetes") (ne (default "token_review" $source.verify) "keys") -}}
{{- if and $reviews (not $found) }}{{ $found = printf "config.bearer[%d]" $index }}{{ end -}}
{{- end -}}
{{- $found -}}
{{- end -}}

{{/* Whether our own token is to be mounted: with it the keys are read, too. */}}
{{- define "countersign.asksTheCluster" -}}
{{- $asks := false -}}
{{- range .Values.config.bearer -}}
{{- if and (eq (default "" .kind) "kubernetes") (not (and .token_file .ca_file)) }}{{ $asks = true }}{{ end -}}
{{- end -}}
{{- $asks -}}
{{- end -}}

{{/* Of the whole cluster, so that its name tells releases apart. */}}
{{- define "countersign.tokenReviewRole" -}}
{{- printf "%s-%s-token-review" .Release.Namespace (include "countersign.fullname" .) -}}
{{- end -}}

{{/* countersign.literalSecrets: list of a place's name and what is there; the places of secrets that are written out. */}}
{{- define "countersign.literalSecrets" -}}
{{- $place := first . -}}{{- $value := last . -}}
{{- if kindIs "map" $value -}}
{{- range $key, $inner := $value -}}
{{- $isAdminToken := and (eq $place "config.admin") (eq $key "token") -}}
{{- if and (kindIs "string" $inner) (or $isAdminToken (regexMatch "(secret|password)$" $key)) }}
{{ $place }}.{{ $key }}
{{- else }}{{ include "countersign.literalSecrets" (list (printf "%s.%s" $place $key) $inner) }}{{ end -}}
{{- end -}}
{{- else if kindIs "slice" $value -}}
{{- range $index, $inner := $value }}{{ include "countersign.literalSecrets" (list (printf "%s[%d]" $place $index) $inner) }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* countersign.filesAt: list of a place's name and what is there; `place file` for each file in /etc/countersign. */}}
{{- define "countersign.filesAt" -}}
{{- $place := first . -}}{{- $value := last . -}}
{{- if kindIs "map" $value -}}
{{- range $key, $inner := $value }}{{ include "countersign.filesAt" (list (printf "%s.%s" $place $key) $inner) }}{{ end -}}
{{- else if kindIs "slice" $value -}}
{{- range $index, $inner := $value }}{{ include "countersign.filesAt" (list (printf "%s[%d]" $place $index) $inner) }}{{ end -}}
{{- else if and (kindIs "string" $value) (hasPrefix "/etc/countersign/" $value) }}
{{ $place }} {{ $value }}
{{- end -}}
{{- end -}}

{{/* What is not mounted of them. A Secret whose items are not named may have any. */}}
{{- define "countersign.filesThatAreNotThere" -}}
{{- $there := list "/etc/countersign/countersign.yaml" -}}
{{- range $name := keys .Values.secrets.create }}{{ $there = append $there (printf "/etc/countersign/%s" $name) }}{{ end -}}
{{- range .Values.secrets.existing -}}
{{- if not .items }}{{ $there = append $there "/etc/countersign" }}{{ end -}}
{{- range .items }}{{ $there = append $there (printf "/etc/countersign/%s" .path) }}{{ end -}}
{{- end -}}
{{- range .Values.extraVolumeMounts }}{{ $there = append $there (default "" .mountPath | trimSuffix "/") }}{{ end -}}
{{- range $line := include "countersign.filesAt" (list "config" .Values.config) | trim | splitList "\n" -}}
{{- $file := splitList " " $line | last | trimSuffix "/" -}}
{{- $found := not $line -}}
{{- /* A directory is there with any file in it. */ -}}
{{- range $one := $there }}{{ if or (eq $one $file) (and $one (hasPrefix (printf "%s/" $one) $file)) (hasPrefix (printf "%s/" $file) $one) }}{{ $found = true }}{{ end }}{{ end -}}
{{- if not $found }}
{{ $line }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The ports and the directory that the configuration names, or Countersign's defaults. */}}
{{- define "countersign.mainPort" -}}
{{- dig "listen" "main" "0.0.0.0:9000" .Values.config | toString | splitList ":" | last -}}
{{- end -}}
{{- define "countersign.adminPort" -}}
{{- dig "listen" "admin" "0.0.0.0:9001" .Values.config | toString | splitList ":" | last -}}
{{- end -}}
{{- define "countersign.dataDir" -}}
{{- dig "data_dir" "/var/lib/countersign" .Values.config -}}
{{- end -}}
{{- define "countersign.scheme" -}}
{{- if dig "listen" "tls" false .Values.config }}https{{ else }}http{{ end -}}
{{- end -}}
{{- define "countersign.prefix" -}}
{{- dig "paths" "prefix" "/oauth2" .Values.config -}}
{{- end -}}

{{/* The paths, as a JSON list, at which providers send browsers back to us outside the prefix. On whatever host. */}}
{{- define "countersign.callbacksElsewhere" -}}
{{- $prefix := printf "%s/" (include "countersign.prefix" .) -}}
{{- $paths := list -}}
{{- range .Values.config.providers -}}
{{- $path := regexReplaceAll "^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*|[?#].*$" (default "" .redirect_uri) "" -}}
{{- if and $path (not (hasPrefix $prefix $path)) }}{{ $paths = append $paths $path }}{{ end -}}
{{- end -}}
{{- $paths | uniq | toJson -}}
{{- end -}}

{{- define "countersign.host" -}}
{{ include "countersign.fullname" . }}.{{ .Release.Namespace }}.svc.{{ .Values.istio.clusterDomain }}
{{- end -}}
{{- define "countersign.jwksUri" -}}
{{- $own := printf "%s://%s:%v/.well-known/jwks.json" (include "countersign.scheme" .) (include "countersign.host" .) .Values.service.port -}}
{{- default $own .Values.istio.requestAuthentication.jwksUri -}}
{{- end -}}
{{- define "countersign.issuer" -}}
{{- $token := default dict .Values.config.token -}}
{{- default (default "" .Values.config.public_url | trimSuffix "/") $token.issuer -}}
{{- end -}}

{{/* countersign.seconds: a duration as the configuration writes it (`1h30m`, `5s`), rounded up. */}}
{{- define "countersign.seconds" -}}
{{- $units := dict "ms" 0 "msec" 0 "millis" 0 "s" 1 "sec" 1 "secs" 1 "second" 1 "seconds" 1 "m" 60 "min" 60 "mins" 60 "minute" 60 "minutes" 60 "h" 3600 "hr" 3600 "hrs" 3600 "hour" 3600 "hours" 3600 -}}
{{- $all := 0 -}}
{{- $parts := regexFindAll "[0-9]+ *[a-z]+" . -1 -}}
{{- if not $parts }}{{ fail (printf "%s is no duration: write it as 5s or 1m30s" .) }}{{ end -}}
{{- range $part := $parts -}}
{{- $unit := regexFind "[a-z]+" $part -}}
{{- if not (hasKey $units $unit) }}{{ fail (printf "%s: write the duration in hours, minutes or seconds, as 5s or 1m30s" $part) }}{{ end -}}
{{- $factor := get $units $unit | int -}}
{{- $all = add $all (ternary 1 (mul (regexFind "[0-9]+" $part | int) $factor) (eq $factor 0)) -}}
{{- end -}}
{{- $all -}}
{{- end -}}

{{- define "countersign.gracePeriod" -}}
{{- $shutdown := default dict .Values.config.shutdown -}}
{{- $lameDuck := include "countersign.seconds" (default "10s" $shutdown.lame_duck | toString) | int -}}
{{- $deadline := include "countersign.seconds" (default "25s" $shutdown.deadline | toString) | int -}}
{{- add $lameDuck $deadline .Values.terminationMargin -}}
{{- end -}}

{{/* The header names that matter to a gateway, as JSON lists: what NOTES.txt and the EnvoyFilter say. */}}
{{- define "countersign.headersToCheck" -}}
{{- $names := list "authorization" "cookie" "accept" "x-requested-with" "sec-fetch-mode" "sec-fetch-dest" "sec-fetch-site" "sec-websocket-version" "origin" "access-control-request-method" "x-forwarded-for" "x-forwarded-proto" "x-request-id" "traceparent" "tracestate" -}}
{{- /* And those in which somebody comes without a cookie. */ -}}
{{- range .Values.config.bearer }}{{ if eq (default "" .kind) "session" }}{{ $names = append $names (lower (default "authorization" .header)) }}{{ end }}{{ end -}}
{{- with .Values.config.front_proxy -}}
{{- with get (dict "aws-alb" "x-amzn-oidc-data" "google-iap" "x-goog-iap-jwt-assertion" "cloudflare-access" "cf-access-jwt-assertion") (default "" .kind) -}}
{{- $names = append $names . -}}
{{- end -}}
{{- end -}}
{{- /* And what some servers take for one of ours (`kubeflow.userid`): by the first word of its name, or the last. */ -}}
{{- $headers := default (dict "kubeflow-userid" "user" "kubeflow-groups" "groups") .Values.config.headers -}}
{{- range $name := append (keys $headers | sortAlpha) "txn-token" | concat (list (dig "token" "header" "authorization" .Values.config)) -}}
{{- $words := lower $name | splitList "-" -}}
{{- if and (gt (len $words) 1) (ne (first $words) "x") }}{{ $names = append $names (printf "%s*" (first $words)) }}{{ end -}}
{{- if and (gt (len $words) 1) (eq (first $words) "x") }}{{ $names = append $names (printf "*%s" (last $words)) }}{{ end -}}
{{- end -}}
{{- $names | uniq | toJson -}}
{{- end -}}
{{- define "countersign.headersUpstream" -}}
{{- $headers := default (dict "kubeflow-userid" "user" "kubeflow-groups" "groups") .Values.config.headers -}}
{{- $token := lower (dig "token" "header" "authorization" .Values.config) -}}
{{- $names := list "authorization" $token "cookie" -}}
{{- range $name := keys $headers | sortAlpha }}{{ $names = append $names (lower $name) }}{{ end -}}
{{- $names | uniq | toJson -}}
{{- end -}}
{{- define "countersign.headersDownstream" -}}
{{- list "content-type" "cache-control" "content-security-policy" "retry-after" "www-authenticate" "x-request-id" "location" "set-cookie" | toJson -}}
{{- end -}}

{{/* The hosts of the policies, with and without a port: a policy compares the header as it was sent. */}}
{{- define "countersign.policyHosts" -}}
{{- range .Values.istio.authorizationPolicy.hosts }}
- {{ . | quote }}
{{- if not (regexMatch ":|\\*" .) }}
- {{ printf "%s:*" . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The audiences of our tokens: the general ones, and those of rules. */}}
{{- define "countersign.audiences" -}}
{{- $token := default dict .Values.config.token -}}
{{- $audiences := default (list "mesh") $token.audience -}}
{{- range .Values.config.rules }}{{ $audiences = concat $audiences (default list .audience) }}{{ end -}}
{{- default ($audiences | uniq) .Values.istio.requestAuthentication.audiences | toJson -}}
{{- end -}}

{{/* The paths that the DENY policy lets be: ours, and those of rules that give a workload no token. Countersign itself
     still guards the latter; this policy is its second line. */}}
{{- define "countersign.pathsWithoutToken" -}}
{{- $config := .Values.config -}}
{{- $prefix := include "countersign.prefix" . -}}
{{- $paths := list (printf "%s/*" $prefix) "/.well-known/jwks.json" "/.well-known/openid-configuration" -}}
{{- $paths = include "countersign.callbacksElsewhere" . | fromJsonArray | concat $paths -}}
{{- $header := lower (dig "token" "header" "authorization" $config) -}}
{{- range $index, $rule := $config.rules -}}
{{- $access := default "signed-in" $rule.access -}}
{{- $keeps := and (eq (default "replace" $rule.authorization) "keep") (eq $header "authorization") -}}
{{- $open := has $access (list "public" "optional") -}}
{{- if or $open $keeps (eq (default "mint" $rule.token) "none") -}}
{{- if or $rule.path_regex $rule.hosts $rule.methods (not $rule.path) -}}
{{- fail (printf "\n\nistio.authorizationPolicy.deny: config.rules[%d] gives workloads no token, and an AuthorizationPolicy cannot say by path alone which requests that is. Write istio.authorizationPolicy.deny.notPaths yourself, or leave the DENY policy off.\n" $index) -}}
{{- end -}}
{{- $path := trimSuffix "/" $rule.path -}}
{{- if $path }}{{ $paths = append $paths $path }}{{ end -}}
{{- $paths = append $paths (printf "%s/*" $path) -}}
{{- end -}}
{{- end -}}
{{- $paths | uniq | toJson -}}
{{- end -}}


{{/* The entry of `extensionProviders` in the mesh config. */}}
{{- define "countersign.meshProvider" -}}
- name: {{ .Values.istio.provider.name }}
  {{- $http := eq .Values.istio.provider.protocol "http" }}
  {{ ternary "envoyExtAuthzHttp" "envoyExtAuthzGrpc" $http }}:
    service: {{ include "countersign.host" . }}
    port: {{ ternary .Values.service.port .Values.service.grpcPort $http }}
    timeout: {{ .Values.istio.provider.timeout }}
    failOpen: false
    statusOnError: "503"
    {{- if $http }}
    pathPrefix: {{ dig "paths" "check" "/check" .Values.config }}
    includeRequestHeadersInCheck: {{ include "countersign.headersToCheck" . }}
    headersToUpstreamOnAllow: [{{ include "countersign.headersUpstream" . | fromJsonArray | join ", " }}]
    headersToDownstreamOnDeny: [{{ include "countersign.headersDownstream" . | fromJsonArray | join ", " }}]
    {{- end }}
{{- end -}}
