//! An endpoint answers 429 to everything.

use std::time::Duration;

use operations_emulator::{
    Answer, Call, Fault, FaultAnswer, FaultCall, Refusal, RequestRecord, RpcCode, Scenario, Script,
};

use crate::{
    many_objects,
    support::{
        cluster::runtime,
        relay::Relay,
        world::{PATIENCE, World, of_operation, operation},
    },
};

/// How many seconds the endpoint asks to wait.
const RETRY_AFTER: u64 = 4;

/// The world after the endpoint has begun to answer as usual.
fn after_refusals(prefix: &str, objects: usize) -> (World, Relay) {
    let other = "projects/other-prod/locations/us-central1/operations/other";
    let relay = runtime().block_on(Relay::start());
    let endpoint = format!(
        "--endpoint-override=dialogflow/us-central1=http://127.0.0.1:{}",
        relay.port()
    );
    let refusal = Refusal {
        retry_after: Some(RETRY_AFTER.to_string()),
        ..Refusal::new(RpcCode::ResourceExhausted)
    };
    let fault = Fault::new(FaultCall::Any, FaultAnswer::Refuse(refusal));
    let scenario = Scenario::default()
        .with_operation(other, Script::cancelled_after(Duration::from_secs(3)))
        .with_operation(operation("many-*"), Script::default().with_fault(fault));
    let mut world = World::stopped(prefix, scenario, &[&endpoint], &[]);
    relay.lead_to(world.emulator.url());
    world.grant();
    world.grant_spec(
        &format!("{}-other", world.namespace.name),
        &serde_json::json!({"projects": ["other-prod"], "identities": ["Operator"]}),
    );
    world.start();
    many_objects::create_numbered(&world.namespace.name, "many", objects);
    world
        .controller()
        .wait_for_metrics(|metrics| metrics.sum("opcancel_pending", &[]) == objects as f64);
    world.apply(&of_operation("other", other, &[])).unwrap();
    assert_eq!(world.finished("other").outcome(), "Cancelled");
    // The other one lived for three seconds at least: without pauses each object would have been asked about many times.
    let calls = world
        .emulator
        .requests()
        .iter()
        .filter(|request| request.call.is_some())
        .count();
    eprintln!("{calls} calls for {objects} objects");
    assert!(calls <= 3 * objects, "{calls}");

    for n in 0..objects {
        let name = operation(&format!("many-{n}"));
        let set = world.emulator.set_operation(&name, Script::default());
        set.unwrap();
    }
    (world, relay)
}

/// The calls of this kind about the many that were answered as usual.
fn answered(requests: &[RequestRecord], call: Call) -> usize {
    let of_many = requests.iter().filter(|request| {
        let name = request.operation.as_deref().unwrap_or_default();
        request.call == Some(call)
            && request.answer == Answer::Status(200)
            && name.contains("many-")
    });
    of_many.count()
}

#[test]
fn it_is_left_alone_for_as_long_as_it_asks_and_other_endpoints_go_on() {
    let objects = 100;
    let (world, _relay) = after_refusals("too-many", objects);
    // No cancel request waits for the rate of polls that was learnt.
    let sent = |requests: &[RequestRecord]| answered(requests, Call::Cancel) == objects;
    runtime()
        .block_on(world.emulator.wait_for(sent, PATIENCE))
        .unwrap();
    for (name, object) in world.objects() {
        let attempts: usize = object.text("/status/cancelAttempts").parse().unwrap();
        assert!(world.posts(&name) <= attempts, "{name}: {attempts}");
    }
}

#[test]
#[ignore = "polls are slow after refusals: cargo xtask test --long"]
fn all_end_when_it_answers_again() {
    let (world, _relay) = after_refusals("too-many-long", 100);
    let limit = Duration::from_secs(1200);
    world.wait_within(limit, &["--all"], "condition=Finished");
    for (name, object) in world.objects() {
        assert_eq!(object.outcome(), "Cancelled", "{name}");
    }
}
