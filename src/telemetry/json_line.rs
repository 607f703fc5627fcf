//! Log lines as JSON: one flat object per line.
//!
//! The fields of spans (which object, which attempt) are on the same level as the event's own fields, so that a log system finds
//! every line about an object by `uid`. If names collide, the event's own field wins.
//!
//! The names `severity`, `timestamp` and `message` and the severities are those of Cloud Logging.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{JsonFields, Writer},
    },
    registry::LookupSpan,
};

/// Writes each event as one object on its own line: `timestamp`, `severity`, `message`, `target`, then all fields.
pub(super) struct JsonLine;

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(formatted) = span.extensions().get::<FormattedFields<JsonFields>>()
                && let Ok(Value::Object(of_span)) = serde_json::from_str(formatted)
            {
                fields.0.extend(of_span);
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let first = [
            ("timestamp", Value::from(jiff::Timestamp::now().to_string())),
            ("severity", Value::from(severity(*metadata.level()))),
            ("message", fields.0.remove("message").unwrap_or_default()),
            ("target", Value::from(metadata.target())),
        ];
        for (n, (name, value)) in first.iter().enumerate() {
            let before = if n == 0 { '{' } else { ',' };
            write!(writer, "{before}\"{name}\":{value}")?;
            fields.0.remove(*name);
        }
        for (name, value) in &fields.0 {
            write!(writer, ",{}:{value}", Value::from(name.as_str()))?;
        }
        writer.write_str("}\n")
    }
}

/// Cloud Logging's severity for a level (`google.logging.type.LogSeverity`). It has none below DEBUG.
const fn severity(level: Level) -> &'static str {
    match level {
        Level::TRACE | Level::DEBUG => "DEBUG",
        Level::INFO => "INFO",
        Level::WARN => "WARNING",
        Level::ERROR => "ERROR",
    }
}

/// The fields of one event.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use serde_json::json;
    use tracing_subscriber::{fmt::layer, layer::SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(act: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let layer = layer()
            .fmt_fields(JsonFields::new())
            .event_format(JsonLine)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        let bytes = written.0.lock().unwrap().clone();
        let lines = String::from_utf8(bytes).unwrap();
        lines
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    #[test]
    fn the_fields_of_spans_and_event_stand_side_by_side() {
        let lines = logged(|| {
            let outer = tracing::error_span!("outer", uid = "u-1", attempt = 1);
            let inner = tracing::error_span!(parent: &outer, "inner", attempt = 2);
            inner
                .in_scope(|| tracing::info!(call = "Get", good = true, "answered \"{}\"\n", "yes"));
            tracing::warn!("alone");
        });
        let mut first = lines[0].clone();
        assert!(
            first
                .as_object_mut()
                .unwrap()
                .remove("timestamp")
                .unwrap()
                .as_str()
                .unwrap()
                .parse::<jiff::Timestamp>()
                .is_ok()
        );
        assert_eq!(
            first,
            json!({"severity": "INFO", "message": "answered \"yes\"\n", "target": module_path!(), "uid": "u-1",
                   "attempt": 2, "call": "Get", "good": true})
        );
        assert_eq!(
            (lines.len(), &lines[1]["message"], lines[1].get("uid")),
            (2, &json!("alone"), None)
        );
    }

    #[test]
    fn severities_are_those_of_cloud_logging() {
        let lines = logged(|| {
            tracing::trace!("a");
            tracing::debug!("b");
            tracing::info!("c");
            tracing::warn!("d");
            tracing::error!("e");
        });
        let severities: Vec<_> = lines.iter().map(|line| &line["severity"]).collect();
        assert_eq!(severities, ["DEBUG", "DEBUG", "INFO", "WARNING", "ERROR"]);
        assert!(lines.iter().all(|line| line.get("level").is_none()));
    }

    #[test]
    fn no_field_can_break_the_line_or_replace_its_severity() {
        let odd = "\u{1b}[31m\u{2028}\n\"}";
        let lines = logged(
            || tracing::error!(severity = "DEBUG", odd, error = ?odd, number = f64::NAN, "said"),
        );
        assert_eq!(
            (&lines[0]["severity"], &lines[0]["odd"], &lines[0]["number"]),
            (&json!("ERROR"), &json!(odd), &Value::Null)
        );
    }
}
