//! Every misbehaviour of an endpoint with a whole controller: the object says what happened, nothing is followed, no token is shown, and the
//! next good answer heals it. The other hops have the same list in tests/hostile_endpoints.rs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use operations_emulator::Scenario;
use serde_json::json;
use strum::VariantArray;

use crate::{
    misbehaviour::{Misbehaviour, ok},
    raw_http::{RawHttp, Reply},
    support::{
        cluster::{kubectl_as_admin, runtime},
        world::{World, manifest, operation},
    },
};

/// The name of the object and of its operation.
fn name(misbehaviour: Misbehaviour) -> String {
    format!("{misbehaviour:?}").to_lowercase()
}

/// A request of the controller about an operation: whether it is the cancel request, and the id.
fn asked(request: &str) -> (bool, String) {
    let path = request.split(' ').nth(1).unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let id = last.trim_end_matches(":cancel");
    (id != last, id.to_owned())
}

/// The cancelled operation, or an accepted request.
fn good(cancels: bool, id: &str) -> Reply {
    let cancelled = json!({
        "name": operation(id), "done": true, "error": {"code": 1, "message": "cancelled"},
    });
    match cancels {
        true => ok("{}"),
        false => ok(&cancelled.to_string()),
    }
}

fn hostile(request: &str, elsewhere: &str) -> Reply {
    let (cancels, id) = asked(request);
    let mut all = Misbehaviour::VARIANTS.iter();
    let Some(misbehaviour) = all.find(|one| name(**one) == id).copied() else {
        // The request that opens a connection.
        return ok("{}");
    };
    let running = json!({"name": operation(&id), "done": false});
    match (misbehaviour, cancels) {
        // Both calls refused as INVALID_ARGUMENT would be an outcome.
        (Misbehaviour::Echo, true) => Misbehaviour::InternalError.reply(request, elsewhere),
        // A GET that drips is read for two minutes.
        (Misbehaviour::SlowDrip, false) => ok(&running.to_string()),
        _ => misbehaviour.reply(request, elsewhere),
    }
}

#[test]
fn an_object_says_what_its_endpoint_does_and_heals() {
    let elsewhere = runtime().block_on(RawHttp::start(|_, _| ok("{}")));
    let (bad, url) = (Arc::new(AtomicBool::new(true)), elsewhere.url());
    let misbehaves = bad.clone();
    let server = RawHttp::start(move |request, _| match misbehaves.load(Ordering::SeqCst) {
        true => hostile(request, &url),
        false => {
            let (cancels, id) = asked(request);
            good(cancels, &id)
        }
    });
    let server = runtime().block_on(server);
    let overriding = format!("--endpoint-override=dialogflow={}", server.url());
    let mut world = World::stopped(
        "hostile",
        Scenario::default(),
        &[&overriding, "--observe-budget=1s"],
        &[("RUST_LOG", "trace")],
    );
    world.start();
    world.grant();
    let all = Misbehaviour::VARIANTS.iter();
    let manifests: String = all.clone().map(|one| manifest(&name(*one), &[])).collect();
    world.apply(&manifests).unwrap();

    world.wait(&["--all"], "jsonpath={.status.lastError.message}");
    let objects = world.objects();
    assert_eq!(objects.len(), Misbehaviour::VARIANTS.len());
    for (name, object) in &objects {
        assert_eq!(object.outcome(), "-", "{name}: {object:?}");
        let message = object.text("/status/lastError/message");
        assert!((5..=1024).contains(&message.len()), "{name}: {message}");
        assert!(!object.message("Ready").is_empty(), "{name}: {object:?}");
    }
    bad.store(false, Ordering::SeqCst);
    world.wait_within(Duration::from_secs(150), &["--all"], "condition=Finished");
    for (name, object) in world.objects() {
        assert_eq!(object.outcome(), "Cancelled", "{name}: {object:?}");
        // The error of a cancel request that may have arrived stays.
        let call = object.text("/status/lastError/call");
        assert!(call == "-" || call == "Cancel", "{name}: {object:?}");
    }
    assert_eq!(
        elsewhere.requests(),
        Vec::<String>::new(),
        "a redirect was followed"
    );
    no_token_is_shown(&mut world);
}

/// The endpoint repeats the token in all its forms.
fn no_token_is_shown(world: &mut World) {
    let log = world.controller().log();
    let (_, metrics) = world.controller().admin("/metrics");
    let namespace = format!("--namespace={}", world.namespace.name);
    let mut places = vec![("log", log), ("metrics", metrics)];
    for kind in ["opcancel", "events"] {
        let arguments = ["get", kind, &namespace, "--output=yaml"];
        places.push((kind, kubectl_as_admin(&arguments, "").unwrap()));
    }
    let tokens = world.emulator.tokens_issued();
    assert!(!tokens.is_empty());
    for (place, text) in &places {
        for token in &tokens {
            let end = &token.secret()[8..];
            assert!(!text.contains(end), "a token stands in the {place}");
        }
    }
}
