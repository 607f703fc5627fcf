{{/* What all names begin with: the release's name, with the chart's unless it is in there. Short enough for the longest suffix. */}}
{{- define "opcancel.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{- $name := include "opcancel.name" . -}}
{{- if contains $name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "opcancel.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "opcancel.serviceAccount" -}}
{{- if .Values.serviceAccount.name -}}
{{ .Values.serviceAccount.name }}
{{- else if .Values.serviceAccount.create -}}
{{ include "opcancel.fullname" . }}-controller
{{- else -}}
{{- fail "serviceAccount.create is false: set serviceAccount.name to the ServiceAccount that the controller shall use" -}}
{{- end -}}
{{- end }}

{{/* Labels that selectors use: they can never change. */}}
{{- define "opcancel.selector" -}}
app.kubernetes.io/name: {{ include "opcancel.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Labels of every Pod. */}}
{{- define "opcancel.podLabels" -}}
{{ include "opcancel.selector" . }}
app.kubernetes.io/part-of: opcancel
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "opcancel.labels" -}}
{{ include "opcancel.podLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{/* The ServiceAccount, as the subject of a binding. */}}
{{- define "opcancel.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "opcancel.serviceAccount" . | quote }}
    namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{/* The image: by digest if there is one. */}}
{{- define "opcancel.image" -}}
{{- with .Values.image -}}
{{- if not .repository -}}
{{- fail "set image.repository to your copy of the image: the project publishes none" -}}
{{- end -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The one Google identity to act as. */}}
{{- define "opcancel.principal" -}}
{{ .Values.expectPrincipal | default .Values.gke.serviceAccount }}
{{- end }}

{{/* Whether Google is reached through GKE's metadata server: a text, or none. */}}
{{- define "opcancel.onGke" -}}
{{- if or .Values.gke.enabled .Values.gke.serviceAccount -}}yes{{- end -}}
{{- end }}

{{/* Whether Google is reached through a workload identity pool: a text, or none. Fails if the values contradict each other. */}}
{{- define "opcancel.onPool" -}}
{{- with .Values.externalAccount -}}
{{- if or .audience .credentialConfiguration -}}
{{- if not (and .audience .credentialConfiguration) -}}
{{- fail "externalAccount needs both audience and credentialConfiguration (helm ... --set-file externalAccount.credentialConfiguration=FILE)" -}}
{{- end -}}
{{- if include "opcancel.onGke" $ -}}
{{- fail "gke and externalAccount are two ways to one identity: set only one of them" -}}
{{- end -}}
{{- $configuration := mustFromJson .credentialConfiguration -}}
{{- if ne (dig "credential_source" "file" "" $configuration) "/var/run/secrets/opcancel/google/token" -}}
{{- fail "externalAccount.credentialConfiguration: its credential_source.file must be /var/run/secrets/opcancel/google/token, where this chart puts the token" -}}
{{- end -}}
yes
{{- end -}}
{{- end -}}
{{- end }}

{{/* A map as YAML without the fields that are empty texts: in the values of a parent chart, Helm ignores a null. */}}
{{- define "opcancel.withoutEmpty" -}}
{{- $kept := dict -}}
{{- range $key, $value := . -}}
{{- if ne (toString $value) "" -}}{{- $_ := set $kept $key $value -}}{{- end -}}
{{- end -}}
{{- with $kept -}}{{ toYaml . }}{{- end -}}
{{- end }}
