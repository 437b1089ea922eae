{{/* A Service, which is named after it, has no dot in its name and begins with a letter. */}}
{{- define "postern.fullname" -}}
{{- $name := .Release.Name | replace "." "-" -}}
{{- if not (regexMatch "^[a-z]" $name) }}{{ $name = printf "postern-%s" $name }}{{ else if not (contains "postern" $name) }}{{ $name = printf "%s-postern" $name }}{{ end -}}
{{ $name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* Which pods: (dict "root" $ "component" "service") */}}
{{- define "postern.selectorLabels" -}}
app.kubernetes.io/name: postern
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "postern.labels" -}}
{{ include "postern.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "postern.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ printf "%s@%s" .repository .digest }}{{ else }}{{ printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) }}{{ end }}
{{- end }}
{{- end }}

{{/* The Secret with the certificate of the listeners; empty without TLS. */}}
{{- define "postern.tlsSecret" -}}
{{- if .Values.tls.secretName }}{{ .Values.tls.secretName }}{{ else if .Values.tls.certManager.issuerRef.name }}{{ include "postern.fullname" . }}-tls{{ end }}
{{- end }}

{{/* Postern runs as the user of the image, writes no file, and never calls the Kubernetes API. */}}
{{- define "postern.podSecurity" -}}
automountServiceAccountToken: false
# Addresses of Services as variables, of which one named `postern` begins like a setting.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "postern.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Replicas on different hosts, of each version by itself: (dict "root" $ "component" "service") */}}
{{- define "postern.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "postern.selectorLabels" . | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
{{- end }}

{{/* `on` of YAML is a boolean, and a number would become 1e+06. */}}
{{- define "postern.settings" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ if kindIs "float64" $value }}{{ $value | int64 | toString | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end }}

{{/* The certificate of the listeners, or plaintext. */}}
{{- define "postern.listenerEnv" -}}
- { name: POSTERN_GRPC_LISTEN, value: '0.0.0.0:50051' }
- { name: POSTERN_HTTP_LISTEN, value: '0.0.0.0:8080' }
{{- if include "postern.tlsSecret" . }}
- { name: POSTERN_TLS_CERT, value: /etc/postern/tls/tls.crt }
- { name: POSTERN_TLS_KEY, value: /etc/postern/tls/tls.key }
{{- else }}
- { name: POSTERN_INSECURE, value: 'true' }
{{- end }}
{{- if .Values.tls.clientCaSecret }}
- { name: POSTERN_TLS_CLIENT_CA, value: /etc/postern/client-ca/ca.crt }
{{- end }}
{{- end }}

{{- define "postern.listenerMounts" -}}
{{- if include "postern.tlsSecret" . }}
- { name: tls, mountPath: /etc/postern/tls, readOnly: true }
{{- end }}
{{- if .Values.tls.clientCaSecret }}
- { name: client-ca, mountPath: /etc/postern/client-ca, readOnly: true }
{{- end }}
{{- end }}

{{- define "postern.listenerVolumes" -}}
{{- with include "postern.tlsSecret" . }}
- name: tls
  secret: { secretName: {{ . }}, defaultMode: 288 }
{{- end }}
{{- with .Values.tls.clientCaSecret }}
- name: client-ca
  secret: { secretName: {{ . }}, defaultMode: 288, items: [{ key: ca.crt, path: ca.crt }] }
{{- end }}
{{- end }}

{{/* (dict "root" $ "ready" "/readyz") */}}
{{- define "postern.probes" -}}
{{- $scheme := ternary "HTTPS" "HTTP" (ne (include "postern.tlsSecret" .root) "") -}}
startupProbe:
  httpGet: { path: /livez, port: http, scheme: {{ $scheme }} }
  periodSeconds: 1
  failureThreshold: 60
# Never about the database: restarting a pod repairs no database, and its memory still verifies tokens.
livenessProbe:
  httpGet: { path: /livez, port: http, scheme: {{ $scheme }} }
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
readinessProbe:
  httpGet: { path: {{ .ready }}, port: http, scheme: {{ $scheme }} }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}

{{/* A volume with one key of a Secret. 288 is 0440, which YAML 1.2 would read as a decimal number. (dict "secret" (dict "name" .. "key" ..) "path" "url") */}}
{{- define "postern.secretFile" -}}
secret: { secretName: {{ .secret.name }}, defaultMode: 288, items: [{ key: {{ .secret.key }}, path: {{ .path }} }] }
{{- end }}

{{/* The authority of the database's certificate. */}}
{{- define "postern.databaseCaVolume" -}}
{{- if .Values.database.caSecret.name -}}
- name: database-ca
  {{- include "postern.secretFile" (dict "secret" .Values.database.caSecret "path" "ca.crt") | nindent 2 }}
{{- end }}
{{- end }}

{{- define "postern.databaseCaMount" -}}
{{- if .Values.database.caSecret.name -}}
- { name: database-ca, mountPath: /etc/postern/database-ca, readOnly: true }
{{- end }}
{{- end }}
