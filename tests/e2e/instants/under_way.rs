//! While there is work: under way, waiting, suspended, stuck, going; a minute of it in real time.

use std::time::Duration;

use operations_emulator::{Fault, FaultAnswer, FaultCall, RpcCode, Scenario, Script};
use serde_json::json;

use super::{
    Instants,
    Meaning::{Going, Held, Stuck, Working},
    RESUME, SUSPEND,
};
use crate::{
    odd_answers::raw,
    support::{
        cluster::json_of,
        object::Object,
        world::{PROJECT, World, of_operation, operation},
    },
};

/// What is seen while an object is under way, waits, is suspended or goes, with a controller running; ends with it stopped.
pub(super) fn before_the_end(instants: &mut Instants) {
    let refuse = |code| Script::default().with_fault(Fault::refuse(FaultCall::Cancel, code));
    let unanswered = |call| {
        Script::default().with_fault(Fault::new(call, FaultAnswer::Hang(Duration::from_secs(60))))
    };
    let scenario = [
        ("sending", unanswered(FaultCall::Cancel)),
        ("polling", Script::ignores_cancel()),
        ("edited", Script::ignores_cancel()),
        ("deleted", Script::ignores_cancel()),
        ("retrying", refuse(RpcCode::Unavailable)),
        ("refused", refuse(RpcCode::FailedPrecondition)),
        ("denied", refuse(RpcCode::PermissionDenied)),
        ("missing", Script::missing()),
        ("suspended", Script::default()),
        ("resumed", Script::default()),
        ("suspended-blind", unanswered(FaultCall::Get)),
        ("suspended-late", Script::ignores_cancel()),
        (
            "suspended-denied",
            Script::default().with_fault(Fault::refuse(FaultCall::Get, RpcCode::PermissionDenied)),
        ),
        ("unauthenticated", refuse(RpcCode::Unauthenticated)),
        ("throttled", refuse(RpcCode::ResourceExhausted)),
        (
            "unrecognised",
            Script::default().with_fault(Fault::new(
                FaultCall::Cancel,
                // What a proxy in between may answer.
                raw(403, "<html>Sign in</html>"),
            )),
        ),
        (
            "not-served",
            Script::default().with_fault(Fault::new(
                FaultCall::Get,
                // What Google's front ends answer for a location that does not exist.
                raw(404, "<html>Error 404 (Not Found)</html>"),
            )),
        ),
    ]
    .into_iter()
    .fold(Scenario::default(), |scenario, (id, script)| {
        scenario.with_operation(operation(id), script)
    });
    // NOT_FOUND must last while the others come to their instant.
    let mut world = World::stopped("instants", scenario, &["--not-found-after=10m"], &[]);
    world.grant_spec(
        &world.namespace.name,
        &json!({"projects": [PROJECT], "identities": ["Operator", "ServiceAccount"]}),
    );
    world.start();
    let reason = |type_: &str, reason: &str| {
        format!("jsonpath={{.status.conditions[?(@.type==\"{type_}\")].reason}}={reason}")
    };
    world.cancel("sending", &[]);
    world
        .apply(&of_operation(
            "ungranted",
            "projects/other-prod/operations/o",
            &[],
        ))
        .unwrap();
    // Each as it is when it comes to that instant: the first lasts as long as the call may take, 10 s.
    for (name, said, instant, actions) in [
        ("sending", "Sending", "sending", &[][..]),
        ("ungranted", "NoGrant", "no grant, under a minute", SUSPEND),
    ] {
        let for_ = format!("--for={}", reason("Ready", said));
        let arguments = [
            "wait",
            "opcancel",
            name,
            &for_,
            "--timeout=60s",
            "--output=json",
        ];
        let object = world.namespace.kubectl(&arguments, "").unwrap();
        instants.add(instant, Object(json_of(&object)), said, Working, actions);
    }
    world.cancel("new-service-account", &["serviceAccountName: tenant"]);
    world.cancel("new-version", &["version: v99"]);
    // It passes the CRD, and no row of the catalogue has this form.
    world
        .apply(&of_operation(
            "new-name",
            "projects/acme-prod/agents/a/operations/o",
            &[],
        ))
        .unwrap();
    world.cancel_all([
        "polling",
        "edited",
        "deleted",
        "retrying",
        "refused",
        "denied",
        "missing",
        "unauthenticated",
        "unrecognised",
        "not-served",
    ]);
    world.cancel("suspended-late", &[]);
    for name in [
        "suspended",
        "resumed",
        "suspended-blind",
        "suspended-denied",
    ] {
        world.cancel(name, &["suspend: true"]);
    }
    world.wait(
        &["polling", "edited", "deleted", "suspended-late"],
        "condition=CancelRequested",
    );
    for (name, said) in [
        ("retrying", "Unavailable"),
        ("refused", "Refused"),
        ("denied", "PermissionDenied"),
        ("missing", "OperationNotFound"),
        ("unauthenticated", "Unauthenticated"),
        ("unrecognised", "Unrecognised"),
        ("not-served", "NotServed"),
        ("suspended-denied", "PermissionDenied"),
        ("new-service-account", "IdentityNotSupported"),
        ("new-version", "UnknownVersion"),
        ("new-name", "UnknownName"),
    ] {
        world.wait(&[name], &reason("Ready", said));
    }
    world.wait(
        &["suspended", "resumed"],
        &reason("CancelRequested", "Suspended"),
    );
    // The last one: an exhausted quota also holds the requests of the others back.
    world.cancel("throttled", &[]);
    world.wait(&["throttled"], &reason("Ready", "Throttled"));
    // Only a finalizer of another controller keeps a deleted object visible.
    world
        .patch(
            "deleted",
            &json!({"metadata": {"finalizers": ["example.org/held"]}}),
        )
        .unwrap();
    world
        .namespace
        .kubectl(&["delete", "opcancel", "deleted", "--wait=false"], "")
        .unwrap();
    world
        .patch("suspended-late", &json!({"spec": {"suspend": true}}))
        .unwrap();
    world.wait(
        &["suspended-late"],
        "jsonpath={.status.observedGeneration}=2",
    );
    let objects = world.objects();
    let of = |name: &str| objects[name].clone();
    for (name, object, reason, meaning, actions) in [
        ("polling", of("polling"), "Polling", Working, &[][..]),
        ("retrying", of("retrying"), "Unavailable", Working, &[]),
        ("refused for now", of("refused"), "Refused", Working, &[]),
        (
            "no permission, under four minutes",
            of("denied"),
            "PermissionDenied",
            Working,
            &[],
        ),
        (
            "not found yet",
            of("missing"),
            "OperationNotFound",
            Working,
            SUSPEND,
        ),
        (
            "no token that is accepted",
            of("unauthenticated"),
            "Unauthenticated",
            Working,
            &[],
        ),
        ("no quota left", of("throttled"), "Throttled", Working, &[]),
        (
            "an answer that is not Google's",
            of("unrecognised"),
            "Unrecognised",
            Working,
            &[],
        ),
        (
            "a path that is not served, under four minutes",
            of("not-served"),
            "NotServed",
            Working,
            SUSPEND,
        ),
        (
            "suspended, and the look is denied",
            of("suspended-denied"),
            "PermissionDenied",
            Working,
            RESUME,
        ),
        (
            "an identity that is not supported",
            of("new-service-account"),
            "IdentityNotSupported",
            Stuck,
            SUSPEND,
        ),
        (
            "a version that is not known",
            of("new-version"),
            "UnknownVersion",
            Stuck,
            SUSPEND,
        ),
        (
            "a form of name that is not known",
            of("new-name"),
            "UnknownName",
            Stuck,
            SUSPEND,
        ),
        (
            "suspended and looked",
            of("suspended"),
            "Suspended",
            Held,
            RESUME,
        ),
        (
            "observing (suspended, so that it lasts)",
            of("suspended-blind"),
            "-",
            Working,
            RESUME,
        ),
        (
            "suspended too late",
            of("suspended-late"),
            "Polling",
            Working,
            &[],
        ),
        ("being deleted", of("deleted"), "Polling", Going, &[]),
    ] {
        instants.add(name, object, reason, meaning, actions);
    }

    // The real minute. Helm and Flux give up at once when it is over, and not before.
    let stalled = [
        "wait",
        "opcancel",
        "ungranted",
        "--for=condition=Stalled",
        "--timeout=120s",
    ];
    world.namespace.kubectl(&stalled, "").unwrap();
    instants.add(
        "no grant, after a minute",
        world.object("ungranted"),
        "NoGrant",
        Stuck,
        SUSPEND,
    );

    // Edits that were not observed: nothing in the status is about the new generation.
    world.controller.take();
    for (name, patch) in [
        ("edited", json!({"spec": {"deadlineSeconds": 999}})),
        ("resumed", json!({"spec": {"suspend": false}})),
        ("ungranted", json!({"spec": {"suspend": true}})),
    ] {
        world.patch(name, &patch).unwrap();
    }
    instants.add(
        "polling, edited",
        world.object("edited"),
        "Polling",
        Working,
        &[],
    );
    instants.add(
        "resumed, not seen",
        world.object("resumed"),
        "Suspended",
        Working,
        SUSPEND,
    );
    instants.add(
        "stuck, edited",
        world.object("ungranted"),
        "NoGrant",
        Working,
        RESUME,
    );
    world
        .patch("deleted", &json!({"metadata": {"finalizers": null}}))
        .unwrap();
}
