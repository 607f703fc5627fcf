//! Every outcome, also after a later edit.

use operations_emulator::{EndResult, Fault, FaultCall, RpcCode, Script};
use serde_json::json;

use super::{
    Instants,
    Meaning::{self, Bad, Good},
};
use crate::support::world::World;

/// Every outcome, accepted where it can be and not.
pub(super) fn ends(instants: &mut Instants) {
    let both = |code| Script::default().with_fault(Fault::refuse(FaultCall::Any, code));
    let failed = EndResult::failed(RpcCode::Internal, "the disk is full");
    let world = World::new(
        "ends",
        [
            ("cancelled", Script::default()),
            ("cancelled-bad", Script::default()),
            ("completed", Script::already_done(EndResult::completed())),
            (
                "completed-bad",
                Script::already_done(EndResult::completed()),
            ),
            ("failed", Script::already_done(failed.clone())),
            ("failed-bad", Script::already_done(failed)),
            ("not-found", Script::missing()),
            ("not-found-bad", Script::missing()),
            ("unsupported", Script::cancel_unimplemented()),
            ("rejected", both(RpcCode::InvalidArgument)),
            ("unknown", Script::ignores_cancel()),
            ("suspended", Script::already_done(EndResult::NoResult)),
        ],
    );
    let rows: [(&'static str, &[&str], &str, Meaning); 12] = [
        ("cancelled", &[], "Cancelled", Good),
        (
            "cancelled-bad",
            &["acceptedOutcomes: [Completed]"],
            "Cancelled",
            Bad,
        ),
        ("completed", &[], "Completed", Good),
        (
            "completed-bad",
            &["acceptedOutcomes: [Cancelled]"],
            "Completed",
            Bad,
        ),
        ("failed", &[], "Failed", Good),
        (
            "failed-bad",
            &["acceptedOutcomes: [Cancelled]"],
            "Failed",
            Bad,
        ),
        (
            "not-found",
            &["acceptedOutcomes: [NotFound]"],
            "NotFound",
            Good,
        ),
        ("not-found-bad", &[], "NotFound", Bad),
        ("unsupported", &[], "Unsupported", Bad),
        ("rejected", &[], "Rejected", Bad),
        ("unknown", &["deadlineSeconds: 10"], "Unknown", Bad),
        ("suspended", &["suspend: true"], "Completed", Good),
    ];
    for (name, spec, _, _) in &rows {
        world.cancel(name, spec);
    }
    let objects = world.all_finished();
    let said = |meaning: &Meaning| match meaning {
        Good => "OutcomeAccepted",
        _ => "OutcomeNotAccepted",
    };
    for (name, _, outcome, meaning) in &rows {
        assert_eq!(objects[*name].outcome(), *outcome, "{name}");
        instants.add(name, objects[*name].clone(), said(meaning), *meaning, &[]);
    }
    // An outcome belongs to no generation.
    for name in ["cancelled", "unsupported"] {
        world
            .patch(
                name,
                &json!({"spec": {"suspend": true, "deadlineSeconds": 99}}),
            )
            .unwrap();
        let object = world.object(name);
        assert_eq!(object.text("/metadata/generation"), "2");
        let (_, _, _, meaning) = rows.iter().find(|row| row.0 == name).unwrap();
        let edited = if name == "cancelled" {
            "cancelled, edited"
        } else {
            "unsupported, edited"
        };
        instants.add(edited, object, said(meaning), *meaning, &[]);
    }
}
