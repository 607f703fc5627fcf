//! The two text formats of metrics, and the choice between them.
//!
//! prometheus-client writes OpenMetrics 1.0. `promtool check metrics` and many scrapers read Prometheus' older text format. For our
//! metrics it differs in three ways: the metadata of a counter has the suffix `_total`, there is no unit and no end mark.

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header prefers (RFC 9110, 12.5.1). The text format, unless the header names OpenMetrics.
    pub fn wanted(accept: &str) -> Self {
        let weight = |type_: &str| {
            accept
                .split(',')
                .map(str::trim)
                .filter(|range| {
                    range
                        .split(';')
                        .next()
                        .is_some_and(|name| name.trim().eq_ignore_ascii_case(type_))
                })
                .map(quality)
                .reduce(f32::max)
        };
        let text = weight("text/plain").unwrap_or(0.0);
        match weight("application/openmetrics-text") {
            Some(open) if open > 0.0 && open >= text => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    /// The `Content-Type` of the answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The `q` of a media range: 1 if it has none, 0 if it is invalid.
fn quality(range: &str) -> f32 {
    let q = range
        .split(';')
        .find_map(|parameter| parameter.trim().strip_prefix("q="));
    q.map_or(1.0, |q| q.trim().parse().unwrap_or(0.0))
}

/// Converts OpenMetrics text to Prometheus' text format.
pub(super) fn text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(of_family) = line.strip_prefix("# HELP ") {
            help = of_family.split_once(' ');
        } else if let Some((name, type_)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let total = if type_ == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                text.extend(["# HELP ", name, total, " ", help, "\n"]);
            }
            text.extend(["# TYPE ", name, total, " ", type_, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_that_the_scraper_prefers_is_sent() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for (accept, format) in [
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "text/plain;version=0.0.4;q=0.5, application/openmetrics-text; version=1.0.0; q=0.3",
                Format::Text,
            ),
            ("application/openmetrics-text;q=0", Format::Text),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily, */*;q=0.1",
                Format::Text,
            ),
            ("*/*", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(Format::wanted(accept), format, "{accept}");
        }
    }

    #[test]
    fn a_counters_metadata_carries_the_name_of_its_samples() {
        let open = "# HELP a A.\n# TYPE a counter\n# UNIT a seconds\na_total{x=\"# EOF\"} 1\n# HELP b B c.\n# TYPE b gauge\nb 2\n# EOF\n";
        assert_eq!(
            text(open),
            "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"# EOF\"} 1\n# HELP b B c.\n# TYPE b gauge\nb 2\n"
        );
    }
}
