//! The API reference, made from the CRDs: what `docs/api.md` has to say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

/// An enum with more values has a page of its own: it is that of the services.
const MOST_VALUES: usize = 20;

/// The whole page.
pub fn page(crds: &[CustomResourceDefinition]) -> String {
    let mut page =
        "<!-- Generated from src/api by `cargo xtask crds`; do not edit. -->\n# API reference\n"
            .to_owned();
    for crd in crds {
        let version = &crd.spec.versions[0];
        let schema = serde_json::to_value(
            &version
                .schema
                .as_ref()
                .expect("a schema")
                .open_api_v3_schema,
        )
        .expect("JSON");
        let (kind, scope) = (&crd.spec.names.kind, &crd.spec.scope);
        page += &format!(
            "\n## {kind}\n\n`{}/{}`, {scope}. ",
            crd.spec.group, version.name
        );
        page += text(&schema);
        page += "\n";
        columns(crd, &mut page);
        for part in ["spec", "status"] {
            let Some(fields) = schema["properties"].get(part) else {
                continue;
            };
            page += &format!(
                "\n### {part}\n\n{}\n\n| field | type | meaning |\n|---|---|---|\n",
                text(fields)
            );
            rows(fields, "", &mut page);
            rules(fields, part, &mut page);
        }
        if let Some(over_all) = schema.get("x-kubernetes-validations") {
            page += "\n### Rules over spec and status\n";
            let over_all = json!({ "x-kubernetes-validations": over_all });
            rules(&over_all, "", &mut page);
        }
    }
    page
}

/// What `kubectl get` shows, and what it can select by.
fn columns(crd: &CustomResourceDefinition, page: &mut String) {
    let version = &crd.spec.versions[0];
    page.push_str("\n### In kubectl\n\n");
    let mut said = Vec::new();
    if let Some(short) = crd
        .spec
        .names
        .short_names
        .as_ref()
        .filter(|names| !names.is_empty())
    {
        said.push(format!("Short name: `{}`.", short.join("`, `")));
    }
    let selectable: Vec<_> = version
        .selectable_fields
        .iter()
        .flatten()
        .map(|field| format!("`{}`", field.json_path.trim_start_matches('.')))
        .collect();
    if !selectable.is_empty() {
        said.push(format!(
            "`--field-selector` knows {}.",
            selectable.join(" and ")
        ));
    }
    if !said.is_empty() {
        page.push_str(&said.join(" "));
        page.push_str("\n\n");
    }
    page.push_str("| column | shown | from | meaning |\n|---|---|---|---|\n");
    for column in version.additional_printer_columns.iter().flatten() {
        let shown = if column.priority.unwrap_or(0) == 0 {
            "always"
        } else {
            "with `-o wide`"
        };
        let meaning = column.description.as_deref().unwrap_or_default();
        page.push_str(&format!(
            "| {} | {shown} | `{}` | {meaning} |\n",
            column.name, column.json_path
        ));
    }
}

fn text(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

fn rows(schema: &Value, prefix: &str, page: &mut String) {
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|n| n == name))
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let must = if prefix.is_empty() && required(name) {
            ", required"
        } else {
            ""
        };
        let of_items = field.get("items").map_or("", text);
        let meaning = format!("{} {of_items}", text(field));
        let meaning = meaning.trim().replace("\n\n", " ").replace('|', "\\|");
        page.push_str(&format!(
            "| `{prefix}{name}` | {}{must} | {meaning} |\n",
            type_of(field)
        ));
        rows(field, &format!("{prefix}{name}."), page);
        if let Some(items) = field.get("items") {
            rows(items, &format!("{prefix}{name}[]."), page);
        }
    }
}

fn type_of(field: &Value) -> String {
    let mut parts = vec![
        match (field["type"].as_str().unwrap_or("any"), field.get("items")) {
            ("array", Some(items)) => format!("list of {}", type_of(items)),
            (kind, _) => field["format"]
                .as_str()
                .filter(|f| *f == "date-time")
                .unwrap_or(kind)
                .to_owned(),
        },
    ];
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<_> = values
            .iter()
            .filter_map(Value::as_str)
            .map(|v| format!("`{v}`"))
            .collect();
        parts = vec![if values.len() > MOST_VALUES {
            "[service](services.md)".to_owned()
        } else {
            values.join(" or ")
        }];
    }
    if let (Some(least), Some(most)) = (field["minimum"].as_f64(), field["maximum"].as_f64()) {
        parts.push(format!("{least} to {most}"));
    }
    if let Some(default) = field.get("default") {
        parts.push(format!("default `{default}`"));
    }
    parts.join(", ")
}

fn rules(schema: &Value, path: &str, page: &mut String) {
    let mut messages = Vec::new();
    collect(schema, path, &mut messages);
    if !messages.is_empty() {
        page.push_str("\nWhat the API server refuses:\n\n");
        for message in messages {
            page.push_str(&format!("- {message}\n"));
        }
    }
}

/// The messages of all rules, each with its field unless it names that itself.
fn collect(schema: &Value, path: &str, messages: &mut Vec<String>) {
    let rules = schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten();
    for message in rules.filter_map(|rule| rule["message"].as_str()) {
        messages.push(
            if message.contains("spec.") || message.contains("status.") {
                message.to_owned()
            } else {
                format!("`{path}`: {message}")
            },
        );
    }
    let fields = schema["properties"].as_object().into_iter().flatten();
    for (name, field) in fields {
        collect(field, &format!("{path}.{name}"), messages);
    }
    if let Some(items) = schema.get("items") {
        collect(items, &format!("{path}[]"), messages);
    }
}
