//! The JSON schema of scenario files. It is derived from the types; the types with their own text form have their schema here.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};

use crate::{
    duration_text::DurationSchema,
    protocol::rpc_code::{RpcCode, TABLE},
    scenario::{Scenario, latency::Latency},
};

/// The schema (draft 2020-12) of what [`Scenario::parse`] reads. It lacks the rules between fields, which only the emulator
/// checks.
pub fn scenario_schema() -> Schema {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Scenario>()
}

impl JsonSchema for RpcCode {
    fn schema_name() -> Cow<'static, str> {
        "RpcCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = TABLE.iter().map(|row| row.2).collect();
        json_schema!({
            "description": "A google.rpc code, by name or by number.",
            "anyOf": [{"enum": names}, {"type": "integer", "minimum": 1, "maximum": i32::MAX}],
        })
    }
}

impl JsonSchema for Latency {
    fn schema_name() -> Cow<'static, str> {
        "Latency".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let duration = generator.subschema_for::<DurationSchema>();
        json_schema!({
            "description": "Time that answers take: one for all, or one for each method.",
            "anyOf": [
                duration,
                {
                    "type": "object",
                    "properties": {"get": duration, "cancel": duration},
                    "additionalProperties": false,
                },
            ],
        })
    }
}
