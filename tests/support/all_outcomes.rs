//! A world with cancellations that end, or wait, in different ways. The tests of logs and metrics use it.

use std::time::Duration;

use operations_emulator::{
    Call, EndResult, Fault, FaultAnswer, FaultCall, Refusal, RpcCode, Scenario, Script,
};
use serde_json::json;

use super::world::{PROJECT, World, manifest, operation};

/// The cancellations that end, with their outcomes.
pub const ENDING: [(&str, &str); 6] = [
    ("already-done", "Completed"),
    ("cancelled", "Cancelled"),
    ("refused", "Completed"),
    ("retried", "Cancelled"),
    ("throttled", "Cancelled"),
    ("unsupported", "Unsupported"),
];

/// Waits for a permission.
pub const DENIED: &str = "denied";
/// Stalled from the start.
pub const STALLED: &str = "stalled";

fn script(name: &str) -> Script {
    let fault = |code| Fault::refuse(FaultCall::Cancel, code);
    let second = Duration::from_secs(1);
    match name {
        "already-done" => Script::already_done(EndResult::completed()),
        // `run` ends it after the refusal, which may take any time.
        "refused" => Script::default().with_fault(fault(RpcCode::FailedPrecondition)),
        "retried" => Script::default().with_fault(fault(RpcCode::Unavailable).times(2)),
        "throttled" => {
            let refusal = Refusal {
                retry_info: Some(second),
                ..Refusal::new(RpcCode::ResourceExhausted)
            };
            let fault = Fault::new(FaultCall::Cancel, FaultAnswer::Refuse(refusal));
            Script::default().with_fault(fault.times(1))
        }
        "unsupported" => Script::cancel_unimplemented(),
        DENIED => {
            Script::default().with_fault(Fault::refuse(FaultCall::Any, RpcCode::PermissionDenied))
        }
        _ => Script::default(),
    }
}

/// Runs all of them until those that end have ended and the others wait. The controller keeps running.
pub fn run(prefix: &str, arguments: &[&str], variables: &[(&str, &str)]) -> World {
    let names = ENDING
        .map(|(name, _)| name)
        .into_iter()
        .chain([DENIED, STALLED]);
    let mut world = World::stopped(prefix, Scenario::default(), arguments, variables);
    world.grant_spec(
        &world.namespace.name,
        &json!({"projects": [PROJECT], "identities": ["Operator", "ServiceAccount"]}),
    );
    world.start();
    let manifests = names.map(|name| {
        // The times of its script count from now.
        world
            .emulator
            .set_operation(&operation(name), script(name))
            .unwrap();
        let spec: &[&str] = if name == STALLED {
            &["serviceAccountName: tenant"]
        } else {
            &[]
        };
        manifest(name, spec)
    });
    world.apply(&manifests.collect::<String>()).unwrap();
    world.wait_for_calls("refused", Call::Cancel, 1);
    world
        .emulator
        .set_operation(
            &operation("refused"),
            Script::already_done(EndResult::completed()),
        )
        .unwrap();
    world.wait(&ENDING.map(|(name, _)| name), "condition=Finished");
    world.wait(&[STALLED], "condition=Stalled");
    world.wait_for_calls(DENIED, Call::Cancel, 1);
    world.wait(&[DENIED], "jsonpath={.status.lastError.call}=Cancel");
    world
}
