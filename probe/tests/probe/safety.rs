//! What is cancelled is what the flags name: over all of them, and over operations in every state.

use std::collections::BTreeSet;

use operations_emulator::{Answer, Call, Scenario, Script, UnknownOperations};

use crate::harness::{FINISHED, FORBIDDEN, Harness, LOCATION, RUNNING, done, flags, scenario};

/// Every combination of the flags that may lead to a cancel.
fn combinations() -> Vec<Vec<&'static str>> {
    let mut all = vec![Vec::new()];
    for [first, second] in [
        ["finished", "cancel-finished"],
        ["cancel", ""],
        ["missing", ""],
    ] {
        let before = all.clone();
        let with = |more: &[&'static str]| {
            before
                .iter()
                .map(|flags: &Vec<_>| [flags, more].concat())
                .collect::<Vec<_>>()
        };
        let (one, both) = (with(&[first]), with(&[first, second]));
        all.extend(one);
        if !second.is_empty() {
            all.extend(both);
        }
    }
    all
}

fn flag(name: &str) -> String {
    match name {
        "finished" => format!("--finished={FINISHED}"),
        "cancel" => format!("--cancel={RUNNING}"),
        "missing" => "--cancel-missing".to_owned(),
        other => format!("--{other}"),
    }
}

async fn check(what: &str, scenario: Scenario, given: Vec<&str>, may_be_missing: bool) {
    let harness = Harness::plain(scenario).await;
    let mut all = flags(&["--output=json"]);
    all.push(format!("--location={LOCATION}"));
    all.push(format!("--forbidden-project={FORBIDDEN}"));
    all.extend(given.iter().map(|name| flag(name)));
    let probed = harness.probe(&all).await;
    assert!(
        matches!(probed.code, Some(0 | 1)),
        "{what} {given:?}: {probed:?}"
    );
    let requests = harness.emulator.requests();
    let posts: Vec<_> = requests
        .iter()
        .filter(|request| request.method != "GET")
        .collect();
    let mut named_by_flags: BTreeSet<&str> = BTreeSet::new();
    named_by_flags.extend(given.contains(&"cancel").then_some(RUNNING));
    named_by_flags.extend(given.contains(&"cancel-finished").then_some(FINISHED));
    for post in &posts {
        assert_eq!(
            (post.method.as_str(), post.call),
            ("POST", Some(Call::Cancel))
        );
        let name = post.operation.as_deref().unwrap();
        // The answer to the last GET there, with no other project to pay.
        let said = requests.iter().rev().find(|request| {
            request.sequence < post.sequence
                && request.call == Some(Call::Get)
                && request.host == post.host
                && request.user_project.is_none()
                && request.operation.as_deref() == Some(name)
        });
        let said = said.map(|request| request.answer);
        if named_by_flags.contains(name) {
            assert_eq!(said, Some(Answer::Status(200)), "{what} {given:?} {name}");
        } else {
            assert!(
                given.contains(&"missing") && may_be_missing,
                "{what} {given:?}: {name}"
            );
            // Where the caller may look, only "there is none" counts.
            let there_is_none = match name.starts_with(&format!("projects/{FORBIDDEN}/")) {
                true => matches!(said, Some(Answer::Status(404 | 403))),
                false => said == Some(Answer::Status(404)),
            };
            assert!(there_is_none, "{what} {given:?} {name}: {said:?}");
            assert_eq!(
                name.rsplit('/').next().unwrap().len(),
                36,
                "{name} was drawn"
            );
        }
    }
    // And nothing but what was named ever changed.
    for operation in harness.emulator.operations() {
        let named = named_by_flags.contains(operation.name.as_str());
        let cancelled = harness.emulator.count(&operation.name, Call::Cancel);
        assert!(
            named || cancelled == 0,
            "{what} {given:?}: {} was cancelled",
            operation.name
        );
    }
    if given.is_empty() || given == ["finished"] {
        assert!(posts.is_empty(), "{what} {given:?}: only GETs");
    }
    if what == "as named" && given == ["finished", "cancel-finished", "cancel", "missing"] {
        assert_eq!(
            posts.len(),
            7,
            "3 of nothing, 1 of the finished one, 3 of the running one: {posts:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_flags_name_is_cancelled() {
    for given in combinations() {
        let named = scenario(done(), Script::default());
        check("as named", named, given.clone(), true).await;
        // The names are mixed up: the one that should be done runs.
        let mixed = scenario(Script::default(), done());
        check("mixed up", mixed, given.clone(), true).await;
        // Whatever is asked for exists and runs, also what was drawn at random.
        let mut crowded = scenario(done(), Script::ignores_cancel());
        crowded.permissions = None;
        crowded.unknown_operations = UnknownOperations::Script(Box::default());
        check("crowded", crowded, given, false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_operation_that_runs_is_left_alone() {
    let harness = Harness::plain(scenario(Script::default(), Script::missing())).await;
    let mut all = flags(&["--output=json", "--cancel-finished"]);
    all.extend([
        flag("finished"),
        flag("cancel"),
        format!("--location={LOCATION}"),
    ]);
    let probed = harness.probe(&all).await;
    assert_eq!(
        probed.with("differs"),
        ["get-finished", "get-running"],
        "{probed:?}"
    );
    assert!(
        harness
            .emulator
            .requests()
            .iter()
            .all(|request| request.method == "GET")
    );
}

/// One file of the probe holds the client, so one function can send a cancel, and that one needs consent.
#[test]
fn only_the_paced_client_can_send_anything() {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![sources.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    let with = |word: &str| -> Vec<String> {
        let has =
            |file: &&std::path::PathBuf| std::fs::read_to_string(file).unwrap().contains(word);
        let found = files.iter().filter(has);
        found
            .map(|file| file.strip_prefix(&sources).unwrap().display().to_string())
            .collect()
    };
    assert!(files.len() > 10);
    for word in ["OperationsClient", "observe_cancel"] {
        assert_eq!(with(word), ["paced_client.rs"], "{word}");
    }
    for word in ["reqwest", "Method::", "cancel_url"] {
        assert_eq!(with(word), Vec::<String>::new(), "{word}");
    }
}
