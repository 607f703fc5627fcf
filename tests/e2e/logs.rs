//! What the JSON log of a real controller tells: each object's life in at most four lines, and every call at DEBUG.

use std::collections::BTreeMap;

use operations_emulator::Call;
use serde_json::Value;

use crate::support::all_outcomes::{self, DENIED, ENDING, STALLED};

fn lines(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| {
            let value: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            for field in ["timestamp", "severity", "message", "target"] {
                assert!(value[field].is_string(), "{field}: {line}");
            }
            value
        })
        .collect()
}

#[test]
fn every_line_is_an_object_and_tells_of_which_cancellation_it_is() {
    let mut world = all_outcomes::run("log", &["--log-format=json"], &[("RUST_LOG", "trace")]);
    let ends = |log: &str| {
        log.lines()
            .filter(|line| line.contains("\"message\":\"finished: "))
            .count()
    };
    let log = world
        .controller()
        .wait_for_log(|log| ends(log) == ENDING.len() && log.contains("\"message\":\"stalled: "));
    // What came before it stands there whole; a last line may still be on its way.
    let lines = lines(&log[..=log.rfind('\n').unwrap()]);
    let objects = world.objects();
    let mut of = BTreeMap::<&str, Vec<&Value>>::new();
    for line in lines.iter().filter(|line| line.get("uid").is_some()) {
        let name = line["name"].as_str().unwrap();
        let object = &objects[name];
        assert_eq!(line["namespace"], world.namespace.name, "{line}");
        assert_eq!(line["uid"], object.text("/metadata/uid"), "{line}");
        assert_eq!(
            (&line["service"], &line["operation"]),
            (&Value::from("dialogflow"), &Value::from(name)),
            "{line}"
        );
        assert!(line["attempt"].is_i64(), "{line}");
        of.entry(name).or_default().push(line);
    }
    for (name, lines) in &of {
        let life: Vec<_> = lines
            .iter()
            .filter(|line| matches!(line["severity"].as_str(), Some("INFO" | "WARNING")))
            .collect();
        assert!(life.len() <= 4, "{name}: {life:?}");
        let said = |start: &str| {
            life.iter()
                .filter(|line| line["message"].as_str().unwrap().starts_with(start))
                .count()
        };
        let taken = usize::from(matches!(*name, "cancelled" | "retried" | "throttled"));
        assert_eq!(
            said("the API accepted the cancel request"),
            taken,
            "{name}: {life:?}"
        );
        let not_taken = usize::from(!matches!(*name, "already-done" | "cancelled" | STALLED));
        assert_eq!(
            said("the API did not accept the cancel request"),
            not_taken,
            "{name}: {life:?}"
        );
        assert_eq!(
            said("stalled: "),
            usize::from(*name == STALLED),
            "{name}: {life:?}"
        );
        if let Some((_, outcome)) = ENDING.iter().find(|(ending, _)| ending == name) {
            let last = life.last().unwrap();
            assert_eq!(
                (&last["outcome"], last["attempt"].as_u64()),
                (&Value::from(*outcome), Some(world.posts(name) as u64)),
                "{last}"
            );
        }
        for call in [Call::Get, Call::Cancel] {
            let logged = lines
                .iter()
                .filter(|line| line["call"] == format!("{call:?}") && line["status"].is_string());
            assert!(
                logged
                    .clone()
                    .all(|line| line["severity"] == "DEBUG" && line["milliseconds"].is_u64()),
                "{lines:?}"
            );
            if *name != DENIED {
                let made = world
                    .calls(name)
                    .into_iter()
                    .filter(|made| *made == call)
                    .count();
                assert_eq!(logged.count(), made, "{name}: {call:?}");
            }
        }
        let writes = lines
            .iter()
            .filter(|line| line["write"].is_string() && line["result"] == "written");
        assert!(
            writes.clone().count() > 0 && writes.clone().all(|line| line["milliseconds"].is_u64()),
            "{lines:?}"
        );
    }
    assert_eq!(of.len(), ENDING.len() + 2);
    for token in world.emulator.tokens_issued() {
        assert!(
            !log.contains(&token.secret()[8..]),
            "a token stands in the log"
        );
    }
}

#[test]
fn an_object_is_named_in_warnings_even_if_nothing_else_is_logged() {
    let mut world = all_outcomes::run(
        "log-warn",
        &[
            "--log-format=json",
            "--log-level=opcancel=warn,opcancel::telemetry=info,opcancel_controller=info",
        ],
        &[],
    );
    let log = world
        .controller()
        .wait_for_log(|log| log.contains("\"message\":\"stalled: "));
    let stalled = lines(&log[..=log.rfind('\n').unwrap()])
        .into_iter()
        .find(|line| line["severity"] == "WARNING" && line["uid"].is_string())
        .unwrap();
    assert_eq!(
        (&stalled["name"], &stalled["operation"]),
        (&Value::from(STALLED), &Value::from(STALLED))
    );
    assert!(!log.contains("\"message\":\"finished: "), "{log}");
}
