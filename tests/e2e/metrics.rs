//! What a real controller serves at `/metrics` after several outcomes, against what promtool, the documentation, the dashboard and
//! the rules make of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use xtask::promtool;

use crate::{
    monitoring::{dashboard_queries, docs_rows, rules},
    support::{
        all_outcomes::{self, ENDING},
        served_metrics::Served,
        world::{PATIENCE, World},
    },
};

/// What promtool complains about, if anything.
fn checked(text: &str) -> String {
    let mut promtool = Command::new(promtool::get().unwrap());
    let mut child = promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    said
}

#[test]
fn what_is_served_is_what_promtool_docs_dashboard_and_rules_expect() {
    let mut world = all_outcomes::run("metrics", &[], &[]);
    let controller = world.controller();
    let (status, text) = controller.admin("/metrics");
    assert_eq!(status, 200);
    assert_eq!(checked(&text), "");
    assert!(
        checked("# TYPE a counter\na 1\n").contains("_total"),
        "promtool tells of what is wrong"
    );

    let open = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let (_, open) = controller.admin_accepting("/metrics", open);
    assert!(
        open.ends_with("# EOF\n") && open.contains("# TYPE opcancel_cancellations counter\n"),
        "{open}"
    );

    let served = Served::read(&text);
    reports_the_outcomes(&served);
    has_nothing_of_an_object(&text, &world.namespace.name);

    let documented = docs_rows();
    for (name, family) in &served.0 {
        let row = documented
            .get(name)
            .unwrap_or_else(|| panic!("docs/metrics.md has no {name}"));
        assert_eq!(family.type_, row.type_, "{name}");
        assert_eq!(
            served.labels(name),
            row.labels.iter().map(String::as_str).collect(),
            "{name}"
        );
    }
    assert_eq!(
        documented.keys().collect::<Vec<_>>(),
        served.0.keys().collect::<Vec<_>>(),
        "the documentation knows more"
    );

    let rules = rules();
    let recorded: BTreeSet<_> = rules
        .iter()
        .filter_map(|rule| rule["record"].as_str().map(str::to_owned))
        .collect();
    let mut by_alert = BTreeMap::<String, BTreeSet<String>>::new();
    let mut behind_records = BTreeSet::new();
    for rule in &rules {
        let asked = served
            .asked_for(rule["expr"].as_str().unwrap(), &recorded)
            .unwrap();
        match rule["alert"].as_str() {
            None => behind_records.extend(asked),
            Some(alert) => by_alert.entry(alert.to_owned()).or_default().extend(asked),
        }
    }
    for (alert, families) in &mut by_alert {
        let rule = rules.iter().find(|rule| rule["alert"] == **alert).unwrap();
        if rule["expr"].as_str().unwrap().contains("opcancel:") {
            families.extend(behind_records.clone());
        }
        let said: BTreeSet<_> = documented
            .iter()
            .filter(|(_, row)| row.alerts.contains(alert))
            .map(|(name, _)| name.clone())
            .collect();
        assert_eq!(*families, said, "docs/metrics.md: the metrics of {alert}");
    }

    let mut shown = BTreeSet::new();
    for query in dashboard_queries() {
        shown.extend(served.asked_for(&query, &recorded).unwrap());
    }
    let not_shown: Vec<_> = served
        .0
        .keys()
        .filter(|name| !shown.contains(*name))
        .collect();
    assert!(
        not_shown.is_empty(),
        "the dashboard shows nothing of {not_shown:?}"
    );

    for wrong in [
        "opcancel_nonsense",
        "opcancel_pending{state=\"Nonsense\"}",
        "sum by (nonsense) (opcancel_pending)",
        "sum(",
    ] {
        assert!(served.asked_for(wrong, &recorded).is_err(), "{wrong}");
    }
}

fn reports_the_outcomes(served: &Served) {
    for outcome in ["Completed", "Cancelled", "Unsupported", "Unknown"] {
        let expected = ENDING.iter().filter(|(_, ends)| *ends == outcome).count() as f64;
        assert_eq!(
            served.value(&format!(
                "opcancel_cancellations_total{{outcome=\"{outcome}\"}}"
            )),
            expected
        );
        assert_eq!(
            served.value(&format!(
                "opcancel_time_to_end_seconds_count{{outcome=\"{outcome}\"}}"
            )),
            expected
        );
    }
    for (series, value) in [
        (
            "opcancel_time_to_accepted_seconds_count{on_hold=\"false\"}",
            3.0,
        ),
        (
            "opcancel_time_to_accepted_seconds_count{on_hold=\"true\"}",
            0.0,
        ),
        ("opcancel_pending{state=\"IdentityNotSupported\"}", 1.0),
        ("opcancel_pending{state=\"PermissionDenied\"}", 1.0),
        (
            "opcancel_google_requests_total{method=\"Cancel\",status=\"OK\"}",
            3.0,
        ),
        (
            "opcancel_google_requests_total{method=\"Cancel\",status=\"UNAVAILABLE\"}",
            2.0,
        ),
        (
            "opcancel_google_requests_total{method=\"Cancel\",status=\"RESOURCE_EXHAUSTED\"}",
            1.0,
        ),
        (
            "opcancel_google_requests_total{method=\"Cancel\",status=\"FAILED_PRECONDITION\"}",
            1.0,
        ),
        (
            "opcancel_google_requests_total{method=\"Cancel\",status=\"UNIMPLEMENTED\"}",
            1.0,
        ),
        (
            "opcancel_status_writes_total{kind=\"outcome\",result=\"written\"}",
            ENDING.len() as f64,
        ),
    ] {
        assert_eq!(served.value(series), value, "{series}");
    }
    for series in [
        "opcancel_google_requests_total{method=\"Get\",status=\"PERMISSION_DENIED\"}",
        "opcancel_google_request_duration_seconds_sum{method=\"Get\"}",
        "opcancel_throttled_seconds_total{method=\"Cancel\"}",
        "opcancel_token_fetches_total{result=\"fetched\"}",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(served.value(series) > 0.0, "{series}");
    }
    let started = served.value("process_start_time_seconds");
    for resource in ["operationcancellations", "cancellationgrants"] {
        let series =
            format!("opcancel_watch_last_answer_timestamp_seconds{{resource=\"{resource}\"}}");
        assert!(served.value(&series) > started, "{series}");
    }
}

fn has_nothing_of_an_object(text: &str, namespace: &str) {
    let series: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let names = ENDING.map(|(name, _)| format!("\"{name}\""));
    let others = [namespace, "acme-prod", "europe-west1"].map(str::to_owned);
    for name in names.into_iter().chain(others) {
        assert!(!series.contains(&name), "{name} is in a label");
    }
}

/// A pending object that ends, or goes away, leaves the count; the age of the oldest follows.
#[test]
fn what_is_pending_is_counted_for_as_long_as_it_is() {
    let mut world = World::without_grant("pending", [("op", Default::default())]);
    let shown = |world: &mut World, series: &str| {
        Served::read(&world.controller().admin("/metrics").1).value(series)
    };
    assert_eq!(
        shown(
            &mut world,
            "opcancel_oldest_pending_age_seconds{phase=\"on_hold\"}"
        ),
        0.0
    );
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=Authorized=False");
    let waiting = "opcancel_pending{state=\"NoGrant\"}";
    until(|| shown(&mut world, waiting) == 1.0);
    until(|| {
        shown(
            &mut world,
            "opcancel_oldest_pending_age_seconds{phase=\"on_hold\"}",
        ) > 0.0
    });
    world.grant();
    world.finished("op");
    until(|| shown(&mut world, waiting) == 0.0);
    assert_eq!(
        shown(
            &mut world,
            "opcancel_time_to_accepted_seconds_count{on_hold=\"true\"}"
        ),
        1.0
    );
    assert_eq!(
        shown(
            &mut world,
            "opcancel_time_to_accepted_seconds_count{on_hold=\"false\"}"
        ),
        0.0
    );
    until(|| {
        shown(
            &mut world,
            "opcancel_oldest_pending_age_seconds{phase=\"on_hold\"}",
        ) == 0.0
    });
}

/// Asks again and again: metrics announce nothing.
fn until(mut met: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !met() {
        assert!(begun.elapsed() < PATIENCE, "it never comes");
        std::thread::sleep(Duration::from_millis(50));
    }
}
