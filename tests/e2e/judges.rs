//! What every tool that waits makes of real objects at every instant: kstatus by its own library, Argo CD's Lua, Flux's CEL and
//! Terraform's HCL by their own engines, Crossplane's by its rule. The table is [`Meaning::expected`].

use std::collections::BTreeSet;

use opcancel::api::{Outcome, Reason};
use serde_json::json;

use crate::{
    instants::{Instant, Meaning, every_instant},
    support::judges::{Verdict, judge},
};

/// Reasons of other conditions; and `Observing` and `Unsupported`, with which `Ready` stands only until the next GET is answered,
/// and which are stored only if something else is to be written then.
const NEVER_STORED_ON_READY: [Reason; 10] = [
    // It takes 20 minutes without grants; its conditions are those of any reason that is worked on.
    Reason::GrantsNotRead,
    Reason::Granted,
    Reason::Observing,
    Reason::Accepted,
    Reason::AlreadyDone,
    Reason::Suspended,
    Reason::Unsupported,
    Reason::NotSent,
    Reason::NoResult,
    Reason::DeadlineExceeded,
];

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
    let instants = every_instant();
    let objects: Vec<_> = instants.iter().map(|instant| &instant.object).collect();
    let verdicts = judge(&objects);
    let wrong: Vec<_> = instants
        .iter()
        .zip(&verdicts)
        .flat_map(|(instant, verdict)| check(instant, verdict))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Every reason that Ready can have, and every outcome, stood before the judges.
    let seen: BTreeSet<_> = instants.iter().map(|instant| instant.reason).collect();
    let missing: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !NEVER_STORED_ON_READY.contains(reason) && !seen.contains(reason.name()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let outcomes = instants
        .iter()
        .map(|instant| instant.object.text("/status/outcome"));
    let outcomes: BTreeSet<_> = outcomes.collect();
    // No service of the catalogue leaves open yet how an operation ended.
    for outcome in Outcome::ALL
        .iter()
        .filter(|outcome| **outcome != Outcome::Ended)
    {
        assert!(
            outcomes.contains(outcome.name()),
            "{outcome:?}: {outcomes:?}"
        );
    }
}
