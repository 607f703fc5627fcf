//! Operations whose answers are large: an inline export is base64 in the response.

use std::time::Duration;

use operations_emulator::{
    Call::Get, Drip, EndResult, Fault, FaultAnswer, FaultCall, Response, Scenario, Script,
};

use crate::support::world::{World, operation};

#[test]
fn a_finished_operation_of_any_size_is_completed_and_costs_one_get() {
    let exports = [("export-1536k", 3 << 19), ("export-50m", 50 << 20)];
    let operations = exports.map(|(name, padding)| {
        let response = Response {
            padding,
            ..Response::default()
        };
        let script = Script::already_done(EndResult::Completed(response));
        (operation(name), script)
    });
    let scenario = Scenario {
        operations: operations.into(),
        ..Scenario::default()
    };
    // Whatever the machine: how long reading may take before the cancel leaves is not what is tried here.
    let mut world = World::stopped("large", scenario, &["--observe-budget=30s"], &[]);
    world.grant();
    world.start();
    world.cancel_all(exports.map(|(name, _)| name));
    let objects = world.all_finished();
    for (name, _) in exports {
        let object = &objects[name];
        assert_eq!(object.outcome(), "Completed", "{name}");
        assert_eq!(
            object.text("/status/operation/responseType"),
            "google.cloud.dialogflow.v2.ExportAgentResponse",
            "{name}"
        );
        assert_eq!(world.calls(name), [Get], "{name}");
    }
}

#[test]
fn a_large_answer_that_comes_slowly_keeps_no_worker() {
    let end = || {
        EndResult::Completed(Response {
            padding: 50 << 20,
            ..Response::default()
        })
    };
    // It is known as large after some two seconds, and would take another minute and more.
    let drip = Drip {
        bytes: 64 << 10,
        every: Duration::from_millis(100),
    };
    let slowly = Fault::new(FaultCall::Get, FaultAnswer::Drip(drip));
    let operations = [
        (
            operation("slow"),
            Script {
                faults: vec![slowly],
                ..Script::already_done(end())
            },
        ),
        (
            operation("small"),
            Script::already_done(EndResult::Completed(Response::default())),
        ),
    ];
    let scenario = Scenario {
        operations: operations.into(),
        ..Scenario::default()
    };
    let settings = ["--workers=1", "--observe-budget=30s"];
    let mut world = World::stopped("slowly", scenario, &settings, &[]);
    world.grant();
    world.start();
    world.cancel("slow", &[]);
    world.wait_for_calls("slow", Get, 1);
    world.cancel("small", &[]);
    assert_eq!(world.finished("small").outcome(), "Completed");
    assert_eq!(world.object("slow").outcome(), "-");
    assert_eq!(world.calls("slow"), [Get]);
}
