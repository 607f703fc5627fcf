{{/*
A value that the chart does not have is refused, with the known one that is most like it. files/values.txt has a line for each value.
*/}}
{{- define "opcancel.refuseUnknownValues" -}}
{{- $known := .Files.Lines "files/values.txt" -}}
{{- include "opcancel.refuseUnknownValuesBelow" (dict "known" $known "parent" "" "values" (omit .Values.AsMap "global" "enabled")) -}}
{{- end }}

{{- define "opcancel.refuseUnknownValuesBelow" -}}
{{- $known := .known -}}
{{- $parent := .parent -}}
{{- range $key, $value := .values -}}
{{- $path := printf "%s%s" $parent $key -}}
{{- if not (has $path $known) -}}
{{- $has := false -}}
{{- range $known -}}{{- if hasPrefix (printf "%s." $path) . -}}{{- $has = true -}}{{- end -}}{{- end -}}
{{- if not $has -}}
{{- fail (printf "unknown value %q; did you mean %q?" $path (include "opcancel.mostLike" (dict "unknown" $path "known" $known))) -}}
{{- end -}}
{{- if kindIs "map" $value -}}
{{- include "opcancel.refuseUnknownValuesBelow" (dict "known" $known "parent" (printf "%s." $path) "values" $value) -}}
{{- else -}}
{{- fail (printf "%s has values of its own, such as %s" $path (include "opcancel.mostLike" (dict "unknown" $path "known" $known))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The known value that shares the most pairs of letters with an unknown one. */}}
{{- define "opcancel.mostLike" -}}
{{- $unknown := lower .unknown -}}
{{- $best := "" -}}
{{- $most := -1 -}}
{{- range $known := .known -}}
{{- $text := lower $known -}}
{{- $shared := 0 -}}
{{- range $at := until (int (sub (len $unknown) 1)) -}}
{{- if contains (substr $at (int (add $at 2)) $unknown) $text -}}{{- $shared = add $shared 1 -}}{{- end -}}
{{- end -}}
{{- $likeness := div (mul 2000 $shared) (add (len $unknown) (len $text)) -}}
{{- if and $known (gt (int $likeness) $most) -}}
{{- $most = int $likeness -}}
{{- $best = $known -}}
{{- end -}}
{{- end -}}
{{ $best }}
{{- end }}
