//! The files of `deploy/monitoring/` and their documentation, beside each other. What a controller serves is compared with them
//! in `metrics`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;

use crate::support::cluster::root;

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn groups() -> Value {
    let file: Value = serde_saphyr::from_str(&text("deploy/monitoring/rules.yaml")).unwrap();
    file["groups"].clone()
}

/// All rules of `rules.yaml`.
pub fn rules() -> Vec<Value> {
    let groups = groups();
    let groups = groups.as_array().unwrap().iter();
    groups
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

/// All queries of the dashboard.
pub fn dashboard_queries() -> Vec<String> {
    let queries: Vec<_> = targets().into_iter().map(|(query, _)| query).collect();
    assert!(queries.len() > 20, "{queries:?}");
    queries
}

/// Query and legend of all panels.
fn targets() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&text("deploy/monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels
        .filter(|panel| panel["type"] != "row")
        .flat_map(|panel| panel["targets"].as_array().unwrap().clone());
    let word = |target: &Value, key: &str| target[key].as_str().unwrap().to_owned();
    targets
        .map(|target| (word(&target, "expr"), word(&target, "legendFormat")))
        .collect()
}

/// What docs/metrics.md says of a metric.
pub struct Row {
    pub type_: String,
    pub labels: BTreeSet<String>,
    pub alerts: BTreeSet<String>,
}

/// The tables of docs/metrics.md by metric.
pub fn docs_rows() -> BTreeMap<String, Row> {
    let text = text("docs/metrics.md");
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| `opcancel_") || line.starts_with("| `process_"));
    rows.map(|line| {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        let words = |cell: &str| {
            cell.split(", ")
                .map(|word| word.trim_matches('`').to_owned())
                .filter(|word| !word.is_empty())
                .collect()
        };
        let row = Row {
            type_: cells[2].split(',').next().unwrap().to_owned(),
            labels: words(&cells[3]),
            alerts: words(&cells[5]),
        };
        (cells[1].trim_matches('`').to_owned(), row)
    })
    .collect()
}

#[test]
fn every_alert_tells_what_to_do_and_was_tried_both_ways() {
    let tests: Value = serde_saphyr::from_str(&text("deploy/monitoring/rules-tests.yaml")).unwrap();
    let cases: Vec<_> = tests["tests"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|test| test["alert_rule_test"].as_array().unwrap())
        .collect();
    let mut pages = BTreeSet::from(["README.md".to_owned()]);
    let overview = text("docs/runbooks/README.md");
    for rule in rules().iter().filter(|rule| rule["alert"].is_string()) {
        let name = rule["alert"].as_str().unwrap();
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(
            ["info", "warning", "critical"].contains(&severity),
            "{name}: {severity}"
        );
        for annotation in ["summary", "description"] {
            assert!(
                rule["annotations"][annotation].as_str().unwrap().len() > 20,
                "{name}: {annotation}"
            );
        }
        let url = format!("https://github.com/opcancel/opcancel/blob/main/docs/runbooks/{name}.md");
        assert_eq!(rule["annotations"]["runbook_url"], url, "{name}");
        let page = text(&format!("docs/runbooks/{name}.md"));
        for heading in [
            "## Meaning\n",
            "## Impact\n",
            "## What to look at\n",
            "## What to do\n",
            "```sh\n",
        ] {
            assert!(page.contains(heading), "{name}.md: {heading}");
        }
        assert!(
            overview.contains(&format!("| [{name}]({name}.md) | {severity} |")),
            "docs/runbooks/README.md: {name}"
        );
        pages.insert(format!("{name}.md"));
        for fires in [true, false] {
            let tried = cases.iter().any(|case| {
                case["alertname"] == name
                    && case["exp_alerts"].as_array().unwrap().is_empty() != fires
            });
            assert!(
                tried,
                "rules-tests.yaml never sees {name} with fires = {fires}"
            );
        }
    }
    let files = fs::read_dir(root().join("docs/runbooks")).unwrap();
    let files: BTreeSet<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, pages, "a page without an alert");
}

#[test]
fn the_operators_objects_have_the_same_rules() {
    let text = text("deploy/monitoring/prometheus-operator.yaml");
    let documents: Vec<Value> = text
        .split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect();
    let of = |kind: &str| {
        documents
            .iter()
            .find(|document| document["kind"] == kind)
            .unwrap()
    };
    assert_eq!(of("PrometheusRule")["spec"]["groups"], groups());
    assert_eq!(
        of("PodMonitor")["spec"]["podMetricsEndpoints"][0]["path"],
        "/metrics"
    );
    assert_eq!(documents.len(), 2);
}

#[test]
fn legends_name_labels_that_their_queries_keep() {
    for (query, legend) in targets() {
        for label in legend
            .split("{{")
            .skip(1)
            .map(|rest| rest.split("}}").next().unwrap())
        {
            let kept = query.contains(" by (") && query.contains(label);
            let whole = !query.contains("sum") && ["instance", "version"].contains(&label);
            assert!(kept || whole, "{label} of {legend:?} is not in {query}");
        }
    }
}
