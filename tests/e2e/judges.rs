//! One table of all instants of an object's life (design section 2), and what every tool that waits makes of the real objects:
//! kstatus by its own library, Argo CD's Lua, Flux's CEL and Terraform's HCL by their own engines, Crossplane's by its rule.
//!
//! Two instants come after four minutes, and one needs a CRD newer than the controller: the pure life cycle lives those in
//! simulated time, its writes on the real API server (`tests/support/simulated_life.rs`).

use std::{collections::BTreeMap, time::Duration};

use opcancel::{
    api::Reason,
    google::answer::{CallError, ErrorKind, Operation},
    lifecycle::{Grant, UnknownTarget},
};
use operations_emulator::{EndResult, Fault, FaultAnswer, FaultCall, RpcCode, Scenario, Script};
use serde_json::json;

use crate::support::{
    cluster::Namespace,
    judges::{Verdict, judge},
    object::Object,
    simulated_life::SimulatedLife,
    world::{PROJECT, World, manifest, of_operation, operation},
};

/// What every tool has to make of an object.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    /// There is work left: all wait.
    Working,
    /// A human must act: who can fail, fails.
    Stuck,
    /// Suspended and looked at: what depends on it goes on, who waits for an end waits on.
    Held,
    /// Ended with an accepted outcome.
    Good,
    /// Ended with another.
    Bad,
    /// Being deleted while there was work left.
    Going,
}

/// kstatus (its library and its fork), Flux, Argo CD; Terraform's wait is over, and its postcondition holds; Crossplane's Ready.
type Expected = ([&'static str; 4], [bool; 2], bool);

impl Meaning {
    const fn expected(self) -> Expected {
        match self {
            Self::Working => (
                ["InProgress", "InProgress", "InProgress", "Progressing"],
                [false, false],
                false,
            ),
            Self::Stuck => (
                ["Failed", "Failed", "Failed", "Degraded"],
                [false, false],
                false,
            ),
            Self::Held => (
                ["Current", "Current", "Current", "Healthy"],
                [false, false],
                false,
            ),
            Self::Good => (
                ["Current", "Current", "Current", "Healthy"],
                [true, true],
                true,
            ),
            Self::Bad => (
                ["Failed", "Failed", "Failed", "Degraded"],
                [true, false],
                false,
            ),
            Self::Going => (
                ["Terminating", "Terminating", "InProgress", "Progressing"],
                [false, false],
                false,
            ),
        }
    }
}

/// An instant: the object at it, what its status must say for it to be that instant, and what it means.
struct Instant {
    name: &'static str,
    object: Object,
    /// Reason of Ready, else of CancelRequested; `-` for an object that nobody has looked at.
    reason: &'static str,
    meaning: Meaning,
    /// What Argo CD offers.
    actions: &'static [&'static str],
}

#[derive(Default)]
struct Instants(Vec<Instant>);

impl Instants {
    fn add(
        &mut self,
        name: &'static str,
        object: Object,
        reason: &'static str,
        meaning: Meaning,
        actions: &'static [&'static str],
    ) {
        self.0.push(Instant {
            name,
            object,
            reason,
            meaning,
            actions,
        });
    }
}

const SUSPEND: &[&str] = &["suspend"];
const RESUME: &[&str] = &["resume"];

fn denied() -> CallError {
    CallError {
        kind: ErrorKind::PermissionDenied,
        http_status: Some(403),
        reason: None,
        domain: None,
        metadata: BTreeMap::new(),
        message: "Permission 'dialogflow.operations.cancel' denied".into(),
        retry_after: None,
    }
}

/// What is seen while an object is under way, waits, is suspended or goes, with a controller running; ends with it stopped.
fn before_the_end(instants: &mut Instants) {
    use Meaning::{Going, Held, Stuck, Working};
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
        (
            "suspended-late",
            Script::cancelled_after(Duration::from_secs(60)),
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
    world.cancel("new-service-account", &["serviceAccountName: tenant"]);
    world.cancel("new-version", &["version: v99"]);
    world
        .apply(&of_operation(
            "ungranted",
            "projects/other-prod/operations/o",
            &[],
        ))
        .unwrap();
    world.cancel_all([
        "sending", "polling", "edited", "deleted", "retrying", "refused", "denied", "missing",
    ]);
    world.cancel("suspended-late", &[]);
    for name in ["suspended", "resumed", "suspended-blind"] {
        world.cancel(name, &["suspend: true"]);
    }
    let reason = |type_: &str, reason: &str| {
        format!("jsonpath={{.status.conditions[?(@.type==\"{type_}\")].reason}}={reason}")
    };
    world.wait(&["ungranted"], &reason("Ready", "NoGrant"));
    instants.add(
        "no grant, under a minute",
        world.object("ungranted"),
        "NoGrant",
        Working,
        SUSPEND,
    );
    world.wait(
        &["polling", "edited", "deleted", "suspended-late"],
        "condition=CancelRequested",
    );
    for (name, said) in [
        ("sending", "Sending"),
        ("retrying", "Unavailable"),
        ("refused", "Refused"),
        ("denied", "PermissionDenied"),
        ("missing", "OperationNotFound"),
        ("new-service-account", "IdentityNotSupported"),
        ("new-version", "UnknownVersion"),
    ] {
        world.wait(&[name], &reason("Ready", said));
    }
    world.wait(
        &["suspended", "resumed"],
        &reason("CancelRequested", "Suspended"),
    );
    // A finalizer of somebody else's is all that lets anyone see an object that is being deleted.
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
        ("sending", of("sending"), "Sending", Working, &[][..]),
        ("polling", of("polling"), "Polling", Working, &[]),
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
            "suspended and looked",
            of("suspended"),
            "Suspended",
            Held,
            RESUME,
        ),
        (
            "suspended, not answered yet",
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

    // Edits that nobody has looked at: nothing stored speaks for the new generation.
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

/// Every outcome, accepted where it can be and not.
fn ends(instants: &mut Instants) {
    use Meaning::{Bad, Good};
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

/// What no test can wait for: simulated time, real objects.
fn much_later(instants: &mut Instants) {
    use Meaning::{Stuck, Working};
    let namespace = Namespace::new("instants-simulated");
    let manifests = ["unseen", "denied", "new-service"].map(|name| manifest(name, &[]));
    namespace
        .kubectl(&["apply", "--filename=-"], &manifests.concat())
        .unwrap();
    let object = |name: &str| {
        let read = namespace.kubectl(&["get", "opcancel", name, "--output=json"], "");
        Object(crate::support::cluster::json_of(&read.unwrap()))
    };
    let life = SimulatedLife {
        grant: Grant::Granted,
        get: || Ok(Operation::default()),
        cancel: || Err(denied()),
        read_as: |_| (),
    };
    life.run(&namespace, "denied", Duration::from_secs(238));
    instants.add(
        "no permission, just under four minutes",
        object("denied"),
        "PermissionDenied",
        Working,
        &[],
    );
    life.run(&namespace, "denied", Duration::from_secs(245));
    instants.add(
        "no permission, after four minutes",
        object("denied"),
        "PermissionDenied",
        Stuck,
        &[],
    );
    let life = SimulatedLife {
        read_as: |view| {
            view.spec.as_mut().unwrap().target = Err(UnknownTarget {
                reason: Reason::UnknownService,
                message: "services that this controller knows: dialogflow".into(),
            });
        },
        ..life
    };
    life.run(&namespace, "new-service", Duration::from_secs(1));
    instants.add(
        "a service that is not known",
        object("new-service"),
        "UnknownService",
        Stuck,
        SUSPEND,
    );
    // Nobody has touched this one: no status was ever written.
    let unseen = object("unseen");
    assert_eq!(unseen.text("/status/observedGeneration"), "-1");
    instants.add("not yet seen", unseen, "-", Working, SUSPEND);
}

fn check(instant: &Instant, verdict: &Verdict) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |what: &str, found: String, expected: String| {
        if found != expected {
            wrong.push(format!(
                "{}: {what}: {found}, expected {expected}",
                instant.name
            ));
        }
    };
    let object = &instant.object;
    let ready = [
        object.condition("Ready"),
        object.condition("CancelRequested"),
    ];
    let reason = ready.iter().find_map(|text| text.split_once('/'));
    let reason = reason.map_or("-", |(_, reason)| reason);
    let (tools, terraform, crossplane) = instant.meaning.expected();
    if instant.reason != "-" || instant.name == "not yet seen" {
        expect("the instant", reason.into(), instant.reason.into());
    }
    let said = [
        &verdict.kstatus,
        &verdict.helm,
        &verdict.flux,
        &verdict.argo,
    ];
    let said = said.map(|opinion| opinion.status.clone());
    expect(
        "kstatus, Helm, Flux, Argo CD",
        format!("{said:?}"),
        format!("{tools:?}"),
    );
    // Ours, which other tests use without Go.
    expect("our own kstatus", object.kstatus().into(), said[0].clone());
    let found = [!verdict.terraform.waits, verdict.terraform.passes];
    expect("Terraform", format!("{found:?}"), format!("{terraform:?}"));
    // provider-kubernetes DeriveFromObject, function-patch-and-transform MatchCondition, function-auto-ready.
    let found = object.condition("Ready").starts_with("True/");
    expect("Crossplane", found.to_string(), crossplane.to_string());
    let found: Vec<_> = verdict.actions.iter().collect();
    let actions = instant.actions.iter().map(|action| {
        let suspend = *action == "suspend";
        (
            action.to_string(),
            json!({"spec": {"suspend": suspend}}).to_string(),
        )
    });
    let actions: Vec<_> = actions.collect();
    let expected: Vec<_> = actions.iter().map(|(name, patch)| (name, patch)).collect();
    expect(
        "Argo CD's actions",
        format!("{found:?}"),
        format!("{expected:?}"),
    );
    // What a person reads when it failed is why it failed.
    if matches!(instant.meaning, Meaning::Stuck | Meaning::Bad) {
        let message = object.message("Ready");
        expect(
            "what kstatus prints",
            verdict.kstatus.message.clone(),
            message.clone(),
        );
        expect(
            "what Argo CD prints",
            verdict.argo.message.clone(),
            message.clone(),
        );
        if matches!(instant.meaning, Meaning::Bad) {
            let says = format!("The operation was not stopped as wanted: {message}");
            expect(
                "what Terraform prints",
                verdict.terraform.says.clone(),
                says,
            );
        }
    }
    wrong
}

#[test]
fn every_tool_understands_every_instant() {
    let mut instants = Instants::default();
    // Each has its own namespace; the first one waits for a minute.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut instants = Instants::default();
            before_the_end(&mut instants);
            instants
        });
        ends(&mut instants);
        much_later(&mut instants);
        instants.0.extend(waiting.join().unwrap().0);
    });
    let objects: Vec<_> = instants.0.iter().map(|instant| &instant.object).collect();
    let verdicts = judge(&objects);
    let wrong: Vec<_> = instants
        .0
        .iter()
        .zip(&verdicts)
        .flat_map(|(instant, verdict)| check(instant, verdict))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Every reason that Ready can have while there is work, and every outcome, stood before the judges.
    assert!(instants.0.len() >= 33, "{}", instants.0.len());
}
