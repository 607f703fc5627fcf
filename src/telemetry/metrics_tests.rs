use super::{exposition::Format, metrics::*, series::Phase};
use crate::api::Reason;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

fn has(metrics: &Metrics, lines: &[&str]) {
    let text = metrics.text(Format::Text).unwrap();
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "{line} is not in\n{text}");
    }
}

fn value(metrics: &Metrics, series: &str) -> f64 {
    let text = metrics.text(Format::Text).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series))
        .unwrap_or_else(|| panic!("no {series} in\n{text}"));
    line.trim().parse().unwrap()
}

/// The metrics of a leader.
fn leader() -> Metrics {
    let metrics = Metrics::default();
    metrics.leads(true);
    metrics
}

#[test]
fn only_the_leader_serves_what_is_true_of_the_cluster() {
    let metrics = Metrics::default();
    let of_objects = ["opcancel_pending{", "opcancel_grants{", "opcancel_oldest_"];
    let served = |name: &&str| metrics.text(Format::OpenMetrics).unwrap().contains(*name);
    has(
        &metrics,
        &["opcancel_leader 0", "opcancel_events_dropped_total 0"],
    );
    assert!(!of_objects.iter().any(served));
    metrics.leads(true);
    has(
        &metrics,
        &["opcancel_leader 1", "opcancel_events_dropped_total 0"],
    );
    assert!(of_objects.iter().all(served));
    metrics.leads(false);
    assert!(!of_objects.iter().any(served));
}

#[test]
fn what_was_counted_stands_in_the_text() {
    let metrics = leader();
    metrics.called("Get", "OK", Duration::from_millis(30));
    metrics.called("Get", "OK", Duration::from_secs(2));
    metrics.accepted(Duration::from_millis(1500), false);
    metrics.finished("Cancelled", Duration::from_secs(40));
    metrics.wrote("intent", "written");
    metrics.token_fetched("fetched");
    metrics.service_account_token_fetched(None);
    metrics.service_account_token_fetched(Some(Reason::ImpersonationFailed));
    metrics.watch_restarted("cancellationgrants");
    metrics.queued("poll", 3);
    metrics.event_dropped();
    metrics.foreign_intent();
    has(
        &metrics,
        &[
            "opcancel_google_requests_total{method=\"Get\",status=\"OK\"} 2",
            "opcancel_google_request_duration_seconds_bucket{le=\"0.05\",method=\"Get\"} 1",
            "opcancel_google_request_duration_seconds_count{method=\"Get\"} 2",
            "opcancel_time_to_accepted_seconds_bucket{le=\"1.0\",on_hold=\"false\"} 0",
            "opcancel_time_to_accepted_seconds_bucket{le=\"2.0\",on_hold=\"false\"} 1",
            "opcancel_time_to_end_seconds_sum{outcome=\"Cancelled\"} 40.0",
            "opcancel_cancellations_total{outcome=\"Cancelled\"} 1",
            "opcancel_status_writes_total{kind=\"intent\",result=\"written\"} 1",
            "opcancel_token_fetches_total{result=\"fetched\"} 1",
            "opcancel_service_account_token_fetches_total{result=\"fetched\"} 1",
            "opcancel_service_account_token_fetches_total{result=\"impersonation\"} 1",
            "opcancel_watch_restarts_total{resource=\"cancellationgrants\"} 1",
            "opcancel_queue_depth{lane=\"poll\"} 3",
            "opcancel_events_dropped_total 1",
            "opcancel_foreign_intents_total 1",
        ],
    );
}

#[test]
fn every_series_exists_before_anything_happened() {
    let metrics = leader();
    has(
        &metrics,
        &[
            "opcancel_cancellations_total{outcome=\"Unknown\"} 0",
            "opcancel_google_requests_total{method=\"Cancel\",status=\"RESOURCE_EXHAUSTED\"} 0",
            "opcancel_time_to_accepted_seconds_count{on_hold=\"true\"} 0",
            "opcancel_pending{state=\"PermissionDenied\"} 0",
            "opcancel_oldest_pending_age_seconds{phase=\"request\"} 0.0",
            "opcancel_token_fetches_total{result=\"failed\"} 0",
            "opcancel_service_account_token_fetches_total{result=\"token_exchange\"} 0",
            "opcancel_status_writes_total{kind=\"outcome\",result=\"failed\"} 0",
            "opcancel_watch_restarts_total{resource=\"operationcancellations\"} 0",
            "opcancel_queue_depth{lane=\"urgent_write\"} 0",
            "opcancel_throttled_seconds_total{method=\"Cancel\"} 0.0",
            concat!(
                "opcancel_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
        ],
    );
}

#[test]
fn the_oldest_ages_and_is_zero_if_there_is_none() {
    let metrics = leader();
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
    metrics.oldest([(Phase::Completion, hour_ago), (Phase::OnHold, tomorrow)].into());
    let oldest = |metrics: &Metrics, of: &str| {
        value(
            metrics,
            &format!("opcancel_oldest_pending_age_seconds{{phase=\"{of}\"}} "),
        )
    };
    assert!((3600.0..3660.0).contains(&oldest(&metrics, "completion")));
    assert_eq!(
        (oldest(&metrics, "request"), oldest(&metrics, "on_hold")),
        (0.0, 0.0)
    );
    metrics.oldest([].into());
    assert_eq!(oldest(&metrics, "completion"), 0.0);
}

#[test]
fn of_several_watches_the_one_that_waits_longest_is_shown() {
    let metrics = Metrics::default();
    let series =
        "opcancel_watch_last_answer_timestamp_seconds{resource=\"operationcancellations\"} ";
    let start = value(&metrics, series);
    assert_eq!(start, value(&metrics, "process_start_time_seconds "));
    metrics.watch_began("operationcancellations", "/a");
    metrics.watch_began("operationcancellations", "/b");
    let begun = value(&metrics, series);
    assert!(begun > start);
    metrics.answered("/a");
    let of_b = value(&metrics, series);
    metrics.answered("/a");
    metrics.answered("/other");
    assert_eq!(value(&metrics, series), of_b);
    metrics.answered("/b");
    assert!(value(&metrics, series) > of_b);
}

#[test]
fn namespaces_are_shown_only_while_they_are_watched() {
    let metrics = Metrics::default();
    let is_shown = || {
        let text = metrics.text(Format::Text).unwrap();
        text.contains("opcancel_watch_last_answer_timestamp_seconds{resource=\"namespaces\"}")
    };
    assert!(!is_shown());
    metrics.watch_began("namespaces", "/api/v1/namespaces");
    assert!(is_shown());
    metrics.watch_ended("/api/v1/namespaces");
    assert!(!is_shown());
}

#[test]
fn open_metrics_has_its_own_names_and_an_end() {
    let metrics = Metrics::default();
    let open = metrics.text(Format::OpenMetrics).unwrap();
    assert!(
        open.contains("# TYPE opcancel_cancellations counter\n") && open.ends_with("# EOF\n"),
        "{open}"
    );
    let text = metrics.text(Format::Text).unwrap();
    assert!(
        text.contains("# TYPE opcancel_cancellations_total counter\n") && !text.contains("EOF"),
        "{text}"
    );
}
