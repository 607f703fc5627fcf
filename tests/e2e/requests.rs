//! What a request to Google carries, and what was stored before it left.

use std::time::Duration;

use operations_emulator::{Call::Cancel, Scenario, Script};

use crate::support::world::{World, operation};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn every_call_says_who_asks() {
    let world = World::new("who", [("cancelled", Script::default())]);
    world.cancel("cancelled", &[]);
    world.finished("cancelled");
    let uid = world.object("cancelled").text("/metadata/uid");
    for request in world.requests("cancelled") {
        let agent = request.user_agent.unwrap_or_default();
        assert!(agent.starts_with("opcancel/"), "{agent}");
        let reason = request.request_reason.unwrap_or_default();
        assert_eq!(
            reason,
            format!("opcancel - {}/cancelled {uid}", world.namespace.name)
        );
        assert!(
            request
                .path
                .starts_with("/v2/projects/acme-prod/locations/europe-west1/operations/cancelled")
        );
        if request.call == Some(Cancel) {
            assert_eq!(request.content_length.as_deref(), Some("0"));
        }
    }
}

#[test]
fn the_intent_is_stored_before_the_request_leaves_and_counts_it() {
    let world = World::new("intent", [("op", Script::default())]);
    world.cancel("op", &[]);
    world.finished("op");
    let writes = world.status_writes("op");
    let body = writes[0].body.as_ref().unwrap();
    assert_eq!(body["status"]["cancelAttempts"], 1, "{body}");
    let author = body["status"]["cancelAttemptedBy"].as_str().unwrap();
    assert!(
        author.len() == 16 && author.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{body}"
    );
    assert!(
        body["metadata"]["uid"].is_string() && body["metadata"]["resourceVersion"].is_string(),
        "{body}"
    );
    assert!(
        writes[0].uri.contains("fieldValidation=Strict"),
        "{}",
        writes[0].uri
    );
    let post = world
        .requests("op")
        .into_iter()
        .find(|request| request.call == Some(Cancel))
        .unwrap();
    assert!(writes[0].received < post.received && post.received < writes[1].received);
}

#[test]
fn every_version_and_form_of_name_is_addressed_as_it_says() {
    let forms = [
        (
            "default",
            "projects/acme-prod/operations/default",
            "",
            "/v2/",
        ),
        (
            "v2beta1",
            "projects/acme-prod/locations/global/operations/v2beta1",
            "version: v2beta1",
            "/v2beta1/",
        ),
        (
            "v3",
            "projects/acme-prod/locations/us-central1/operations/v3",
            "version: v3",
            "/v3/",
        ),
        (
            "v3beta1",
            "projects/acme-prod/operations/v3beta1",
            "version: v3beta1",
            "/v3beta1/",
        ),
        (
            "number",
            "projects/123456789012/operations/O.p_e~r-1",
            "",
            "/v2/",
        ),
        (
            "domain",
            "projects/example.com:acme/operations/o",
            "",
            "/v2/",
        ),
    ];
    let scenario = forms.iter().fold(Scenario::default(), |scenario, form| {
        scenario.with_operation(form.1, Script::default())
    });
    let mut world = World::stopped(
        "forms",
        scenario,
        &["--quota-project=billing-prod", "--cluster-name=blue"],
        &[],
    );
    let projects = ["acme-prod", "123456789012", "example.com:acme"];
    world.grant_spec(
        &world.namespace.name,
        &serde_json::json!({"projects": projects, "identities": ["Operator"]}),
    );
    world.start();
    world
        .apply(
            &forms
                .iter()
                .map(|(name, operation, spec, _)| {
                    crate::support::world::of_operation(
                        name,
                        operation,
                        if spec.is_empty() {
                            &[]
                        } else {
                            std::slice::from_ref(spec)
                        },
                    )
                })
                .collect::<String>(),
        )
        .unwrap();
    let objects = world.all_finished();
    for (name, operation, _, version) in forms {
        assert_eq!(objects[name].outcome(), "Cancelled", "{name}");
        for request in world.emulator.requests_for(operation) {
            let path = format!("{version}{}", operation.replace(':', "%3A"));
            assert!(
                request.path == path || request.path == format!("{path}:cancel"),
                "{}",
                request.path
            );
            assert_eq!(request.user_project.as_deref(), Some("billing-prod"));
            assert!(
                request
                    .request_reason
                    .unwrap()
                    .starts_with("opcancel blue ")
            );
        }
    }
}

#[test]
fn two_objects_for_one_operation_are_independent() {
    let world = World::new("two", [("op", Script::cancelled_after(ms(1000)))]);
    let of = |name| crate::support::world::of_operation(name, &operation("op"), &[]);
    world.apply(&format!("{}{}", of("one"), of("two"))).unwrap();
    let objects = world.all_finished();
    assert_eq!(
        (objects["one"].outcome(), objects["two"].outcome()),
        ("Cancelled".into(), "Cancelled".into())
    );
    assert_eq!(world.posts("op"), 2);
}
