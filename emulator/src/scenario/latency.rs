//! How long an answer takes, by method.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{duration_text, protocol::call::Call};

/// Time that answers take. In a scenario either one duration for both methods, or `{get: 50ms, cancel: 1s}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Of a GET, and of a list.
    #[serde(with = "duration_text")]
    pub get: Duration,
    /// Of a cancel.
    #[serde(with = "duration_text")]
    pub cancel: Duration,
}

impl Latency {
    /// The same time for both methods.
    pub fn both(duration: Duration) -> Self {
        Self {
            get: duration,
            cancel: duration,
        }
    }

    /// The time that an answer to this call takes.
    pub fn of(self, call: Call) -> Duration {
        match call {
            Call::Get | Call::List => self.get,
            Call::Cancel => self.cancel,
        }
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
        #[derive(Default)]
        struct ByMethod {
            #[serde(with = "duration_text")]
            get: Duration,
            #[serde(with = "duration_text")]
            cancel: Duration,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Latency;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 100ms, or {get: 50ms, cancel: 1s}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Latency, E> {
                duration_text::parse(text)
                    .map(Latency::both)
                    .map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Latency, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Latency, A::Error> {
                let ByMethod { get, cancel } =
                    ByMethod::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Latency { get, cancel })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
