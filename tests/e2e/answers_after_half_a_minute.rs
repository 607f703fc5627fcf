//! What takes half a minute by design, all at once: second tries after a refusal, and after a denial.

use std::time::Duration;

use operations_emulator::{
    Call::{self, Cancel, Get},
    Fault, FaultCall, RpcCode, Script,
};

use crate::support::world::{World, manifest};

#[test]
fn refused_and_denied_calls_are_tried_again_after_half_a_minute() {
    let fault =
        |on, code, times| Script::default().with_fault(Fault::refuse(on, code).times(times));
    let rows = [
        (
            "refused-then-taken",
            fault(FaultCall::Cancel, RpcCode::FailedPrecondition, 1),
            Cancel,
            1,
        ),
        (
            "denied-then-taken",
            fault(FaultCall::Cancel, RpcCode::PermissionDenied, 1),
            Cancel,
            1,
        ),
        (
            "tokens-refused-then-taken",
            fault(FaultCall::Cancel, RpcCode::Unauthenticated, 2),
            Cancel,
            2,
        ),
        (
            "get-denied-once",
            fault(FaultCall::Get, RpcCode::PermissionDenied, 1),
            Get,
            1,
        ),
        (
            "get-tokens-refused",
            fault(FaultCall::Get, RpcCode::Unauthenticated, 2),
            Get,
            2,
        ),
    ];
    let world = World::new(
        "half-a-minute",
        rows.each_ref().map(|row| (row.0, row.1.clone())),
    );
    world
        .apply(&rows.each_ref().map(|row| manifest(row.0, &[])).concat())
        .unwrap();
    let objects = world.all_finished();
    for (name, _, call, tries) in rows {
        let object = &objects[name];
        assert_eq!(object.outcome(), "Cancelled", "{name}");
        assert_eq!(
            object.condition("CancelRequested"),
            "True/Accepted",
            "{name}"
        );
        assert_eq!(object.text("/status/lastError"), "-", "{name}");
        let times = |call: Call| -> Vec<Duration> {
            world
                .requests(name)
                .iter()
                .filter(|request| request.call == Some(call))
                .map(|request| request.since_start)
                .collect()
        };
        let tried = times(call);
        let waited = tried[tries] - tried[tries - 1];
        assert!(
            (Duration::from_secs(29)..Duration::from_secs(40)).contains(&waited),
            "{name}: {waited:?}"
        );
        if tries == 2 {
            assert!(
                tried[1] - tried[0] < Duration::from_secs(5),
                "{name}: once more at once"
            );
        }
        if call == Cancel {
            assert_eq!(
                (tried.len(), object.text("/status/cancelAttempts")),
                (tries + 1, (tries + 1).to_string()),
                "{name}"
            );
            assert!(times(Get).len() > 5, "{name}: polling goes on meanwhile");
        } else {
            assert_eq!(world.posts(name), 1, "{name}");
        }
    }
    assert!(
        world.calls("get-denied-once").starts_with(&[Get, Cancel]),
        "a denied GET does not hold the cancel back"
    );
    assert!(
        world
            .calls("get-tokens-refused")
            .starts_with(&[Get, Get, Get, Cancel]),
        "but one without a token does"
    );
}
