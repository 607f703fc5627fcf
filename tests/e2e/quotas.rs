//! Exhausted quotas: the server says how long to wait; GETs and POSTs have shares of their own.

use std::time::Duration;

use operations_emulator::{
    Call::{Cancel, Get},
    Fault, FaultAnswer, FaultCall, Refusal, RpcCode, Script,
};

use crate::support::world::{World, manifest};

fn used_up(on: FaultCall, retry_info: Option<Duration>, retry_after: Option<&str>) -> Fault {
    let refusal = Refusal {
        retry_info,
        retry_after: retry_after.map(str::to_owned),
        ..Refusal::new(RpcCode::ResourceExhausted)
    };
    Fault::new(on, FaultAnswer::Refuse(refusal)).times(1)
}

#[test]
fn a_used_up_quota_for_cancel_is_waited_out_while_polling_goes_on() {
    let fault = used_up(FaultCall::Cancel, Some(Duration::from_secs(4)), None);
    let world = World::new("quota-post", [("op", Script::default().with_fault(fault))]);
    world.cancel("op", &[]);
    world.wait(
        &["op"],
        "jsonpath={.status.lastError.status}=RESOURCE_EXHAUSTED",
    );
    let object = world.object("op");
    assert_eq!(
        object.conditions(),
        [
            "Unknown/Sending",
            "False/Throttled",
            "Unknown/Throttled",
            "True/Throttled",
            "-"
        ]
    );
    assert_eq!(world.finished("op").outcome(), "Cancelled");
    let requests = world.requests("op");
    let posts: Vec<_> = requests
        .iter()
        .filter(|request| request.call == Some(Cancel))
        .collect();
    let waited = posts[1].since_start - posts[0].since_start;
    assert!(
        (Duration::from_millis(3900)..Duration::from_secs(8)).contains(&waited),
        "{waited:?}"
    );
    let between = requests.iter().filter(|r| {
        r.call == Some(Get) && posts[0].sequence < r.sequence && r.sequence < posts[1].sequence
    });
    assert!(between.count() >= 2);
}

#[test]
fn a_used_up_quota_for_get_holds_no_cancel_back_not_even_that_of_another_object() {
    let fault = used_up(FaultCall::Get, None, Some("5"));
    let world = World::new(
        "quota-get",
        [
            ("first", Script::default().with_fault(fault)),
            ("second", Script::default()),
        ],
    );
    world.cancel("first", &[]);
    world.wait_for_calls("first", Get, 1);
    world.cancel("second", &[]);
    world.wait_for_calls("second", Cancel, 1);
    let objects = world.all_finished();
    assert_eq!(
        (objects["first"].outcome(), objects["second"].outcome()),
        ("Cancelled".into(), "Cancelled".into())
    );
    assert_eq!(world.calls("first")[..2], [Get, Cancel]);
    assert_eq!(
        world.calls("second")[0],
        Cancel,
        "its GET waits for the quota, its cancel does not"
    );
    let (first, second) = (world.requests("first"), world.requests("second"));
    for next in [&first[2], &second[1]] {
        let waited = next.since_start - first[0].since_start;
        assert!(waited >= Duration::from_millis(4900), "{waited:?}");
    }
}

#[test]
fn the_last_look_at_the_deadline_goes_out_regardless() {
    let fault = used_up(FaultCall::Get, None, Some("600"));
    let world = World::new("quota-last", [("op", Script::default().with_fault(fault))]);
    world
        .apply(&manifest("op", &["deadlineSeconds: 10"]))
        .unwrap();
    let object = world.finished("op");
    assert_eq!(
        (object.outcome().as_str(), world.calls("op")),
        ("Cancelled", vec![Get, Cancel, Get])
    );
}
