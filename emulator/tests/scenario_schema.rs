//! The JSON schema says of scenario files what the emulator says.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use operations_emulator::{Scenario, scenario_schema};
use serde_json::{Value, json};

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(scenario_schema().as_value()).unwrap()
}

/// All scenario files of the repository: YAML with operations below it, in the folders named emulator or scenarios.
fn scenario_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folders = ["emulator/scenarios", "examples/emulator"].map(|folder| root.join(folder));
    let entries = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "yaml");
    paths.filter(is_yaml).collect()
}

#[test]
fn every_scenario_file_satisfies_it_as_it_stands() {
    let (validator, files) = (validator(), scenario_files());
    assert!(files.len() >= 2, "{files:?}");
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        Scenario::parse(&text).unwrap();
        let json: Value = serde_saphyr::from_str(&text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&json)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn it_takes_what_the_emulator_writes() {
    let scenario = Scenario::parse(include_str!("../scenarios/examples.yaml")).unwrap();
    let written = serde_json::to_value(scenario).unwrap();
    let error = validator()
        .iter_errors(&written)
        .next()
        .map(|error| error.to_string());
    assert_eq!(error, None);
}

#[test]
fn it_refuses_what_the_emulator_refuses() {
    let validator = validator();
    let script = |script: Value| json!({"operations": {"projects/p/operations/o": script}});
    for wrong in [
        json!({"latencey": "1s"}),
        json!({"latency": "5"}),
        json!({"latency": 5}),
        json!({"unknownOperations": "maybe"}),
        json!({"permissions": [{"principal": "a", "calls": ["delete"]}]}),
        json!({"consumers": {"p": {"perMinute": {"get": -1}}}}),
        json!({"connections": [{"answer": {"certificate": "old"}}]}),
        script(json!({"ends": {"after": "1s"}})),
        script(json!({"ends": {"result": {"failed": {"code": "OK"}}}})),
        script(json!({"cancel": {"effect": "explodes"}})),
        script(json!({"faults": [{"on": "get"}]})),
        script(json!({"faults": [{"answer": {"drip": {"bytes": 1}}}]})),
        script(json!({"faults": [{"answer": {"deep": {"depth": 1_000_001}}}]})),
        script(json!({"metadata": {"padding": 16_777_217}})),
        script(json!({"ends": {"result": {"completed": {"padding": 268_435_457}}}})),
    ] {
        assert!(Scenario::parse(&wrong.to_string()).is_err(), "{wrong}");
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}

#[test]
fn the_file_is_the_schema_and_scenarios_name_it_for_editors() {
    let written = include_str!("../scenario.schema.json");
    let wanted = format!(
        "{}\n",
        serde_json::to_string_pretty(&scenario_schema()).unwrap()
    );
    assert!(
        written == wanted,
        "stale; run: cargo run -p operations-emulator -- schema > emulator/scenario.schema.json"
    );
    for path in scenario_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let named = first
            .strip_prefix("# yaml-language-server: $schema=")
            .unwrap_or_default();
        let schema = path.parent().unwrap().join(named);
        assert!(
            schema.ends_with("scenario.schema.json") && schema.is_file(),
            "{}: {first}",
            path.display()
        );
    }
}
