{{/*
A sidecar of Postern for a pod of another chart; docs/kubernetes.md shows it in use. All three take one dict:

  image      of Postern, with its version or digest. Required.
  upstream   the gRPC address of Postern or of its relays. Required.
  tokenUpstream  that of Postern, when `upstream` is a relay, which issues no tokens
  issuer     POSTERN_ISSUER of Postern: the audience of the pod's token, which the sidecar exchanges. Required without upstreamCert.
  upstreamCert  the name of a TLS Secret with a client certificate, for mutual TLS. Without an issuer it is the credential.
  upstreamCa `system`, or the name of a ConfigMap with ca.crt. Without it the connection to Postern is plaintext, as in a mesh.
  policy     the name of a ConfigMap with postern-policy.yaml
  settings   further settings

The pod needs `serviceAccountName` of the account that is bound. The service is at unix:/run/postern/grpc.sock.
*/}}

{{/* An item of `initContainers`. It is ready before the containers of the pod start, and ends after them (Kubernetes 1.29). */}}
{{- define "postern.sidecar" -}}
{{- $ready := "fetch('http://127.0.0.1:8081/readyz/verification').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))" -}}
- name: postern
  image: {{ required "postern.sidecar: image is required" .image }}
  restartPolicy: Always
  args:
    - sidecar
    - --upstream={{ required "postern.sidecar: upstream is required" .upstream }}
    {{- with .tokenUpstream }}
    - --token-upstream={{ . }}
    {{- end }}
  env:
    {{- if .issuer }}
    - { name: POSTERN_TOKEN_FILE, value: /var/run/secrets/postern/token }
    {{- else if not .upstreamCert }}
    {{- fail "postern.sidecar: issuer or upstreamCert is required" }}
    {{- end }}
    - { name: POSTERN_GRPC_LISTEN, value: 'unix:/run/postern/grpc.sock' }
    # The containers of a pod run as different users. Nobody else reaches the volume.
    - { name: POSTERN_SOCKET_MODE, value: '0666' }
    {{- if not .upstreamCa }}
    - { name: POSTERN_INSECURE, value: 'true' }
    {{- else if eq .upstreamCa "system" }}
    - { name: POSTERN_UPSTREAM_CA, value: system }
    {{- else }}
    - { name: POSTERN_UPSTREAM_CA, value: /etc/postern/upstream-ca/ca.crt }
    {{- end }}
    {{- if .upstreamCert }}
    - { name: POSTERN_UPSTREAM_CERT, value: /etc/postern/upstream-cert/tls.crt }
    - { name: POSTERN_UPSTREAM_KEY, value: /etc/postern/upstream-cert/tls.key }
    {{- end }}
    {{- if .policy }}
    - { name: POSTERN_POLICY_FILE, value: /etc/postern/policy/postern-policy.yaml }
    {{- end }}
    {{- range $name, $value := .settings }}
    # A number from values.yaml would become 1e+06.
    - { name: {{ $name }}, value: {{ ternary ($value | int64 | toString) ($value | toString) (kindIs "float64" $value) | quote }} }
    {{- end }}
  # Its HTTP listener is on loopback, where kubelet does not reach it.
  startupProbe:
    exec: { command: [/nodejs/bin/node, -e, {{ $ready | quote }}] }
    timeoutSeconds: 5
    periodSeconds: 2
    failureThreshold: 30
  readinessProbe:
    exec: { command: [/nodejs/bin/node, -e, {{ $ready | quote }}] }
    timeoutSeconds: 5
    periodSeconds: 15
  resources:
    requests: { cpu: 50m, memory: 128Mi, ephemeral-storage: 16Mi }
    limits: { memory: 256Mi, ephemeral-storage: 64Mi }
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: { drop: [ALL] }
    seccompProfile: { type: RuntimeDefault }
  volumeMounts:
    {{- if .issuer }}
    - { name: postern-token, mountPath: /var/run/secrets/postern, readOnly: true }
    {{- end }}
    - { name: postern-socket, mountPath: /run/postern }
    {{- if and .upstreamCa (ne .upstreamCa "system") }}
    - { name: postern-upstream-ca, mountPath: /etc/postern/upstream-ca, readOnly: true }
    {{- end }}
    {{- if .upstreamCert }}
    - { name: postern-upstream-cert, mountPath: /etc/postern/upstream-cert, readOnly: true }
    {{- end }}
    {{- if .policy }}
    # The folder and not the file: a `subPath` is never updated.
    - { name: postern-policy, mountPath: /etc/postern/policy, readOnly: true }
    {{- end }}
{{- end }}

{{/* Items of `volumes` of the pod. */}}
{{- define "postern.sidecar.volumes" -}}
{{- with .issuer }}
- name: postern-token
  projected:
    sources:
      - serviceAccountToken: { path: token, audience: {{ . | quote }}, expirationSeconds: 600 }
{{- end }}
- name: postern-socket
  emptyDir: { medium: Memory, sizeLimit: 1Mi }
{{- if and .upstreamCa (ne .upstreamCa "system") }}
- name: postern-upstream-ca
  configMap: { name: {{ .upstreamCa }}, items: [{ key: ca.crt, path: ca.crt }] }
{{- end }}
{{- with .upstreamCert }}
- name: postern-upstream-cert
  secret: { secretName: {{ . }} }
{{- end }}
{{- with .policy }}
- name: postern-policy
  configMap: { name: {{ . }} }
{{- end }}
{{- end }}

{{/* An item of `volumeMounts` of the container that calls the sidecar. */}}
{{- define "postern.sidecar.mount" -}}
- { name: postern-socket, mountPath: /run/postern }
{{- end }}
