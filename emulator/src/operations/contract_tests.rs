//! The contract of google.longrunning.Operation, over random sequences of calls: whatever an admin and clients do in whatever
//! order, the answer to a GET never contradicts an earlier one.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use crate::{
    operations::{
        operation::{CancelVerdict, Operation, Phase},
        operation_json::operation_json,
    },
    protocol::{bindings::OperationForm, rpc_code::RpcCode},
    scenario::script::{
        CancelAnswer, CancelBehaviour, CancelEffect, EndResult, Ending, MetadataScript, Script,
        Vanishing,
    },
};

const NAME: &str = "projects/p/operations/o";

/// A call of a client or of an admin.
#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    Cancel,
    Finish(EndResult),
    /// An admin puts a new operation in the place of the old one.
    Replace(Box<Script>),
}

fn moment() -> impl Strategy<Value = Duration> {
    (0_u64..8).prop_map(Duration::from_secs)
}

fn result() -> impl Strategy<Value = EndResult> {
    prop_oneof![
        Just(EndResult::completed()),
        Just(EndResult::failed(RpcCode::Internal, "boom")),
        Just(EndResult::CancelledElsewhere),
        Just(EndResult::NoResult),
        Just(EndResult::EmptyError),
    ]
}

fn effect() -> impl Strategy<Value = CancelEffect> {
    prop_oneof![
        3 => Just(CancelEffect::Cancels),
        1 => Just(CancelEffect::Ignored),
        1 => Just(CancelEffect::NotCancellable),
        2 => result().prop_map(CancelEffect::Ends),
    ]
}

fn answer() -> impl Strategy<Value = CancelAnswer> {
    prop_oneof![
        Just(CancelAnswer::Ok),
        Just(CancelAnswer::FailedPrecondition)
    ]
}

fn script() -> impl Strategy<Value = Script> {
    let vanishing = (
        proptest::option::of(moment()),
        proptest::option::of(moment()),
        proptest::option::of(moment()),
    )
        .prop_map(|(after, after_cancel, after_end)| Vanishing {
            after,
            after_cancel,
            after_end,
        });
    let ending = (moment(), result()).prop_map(|(after, result)| Ending { after, result });
    let cancel = (effect(), moment(), answer(), answer()).prop_map(
        |(effect, after, repeated, when_done)| CancelBehaviour {
            effect,
            after,
            repeated,
            when_done,
        },
    );
    (
        proptest::bool::weighted(0.95),
        proptest::option::weighted(0.2, moment()),
        proptest::option::weighted(0.3, vanishing),
        proptest::option::of(ending),
        cancel,
    )
        .prop_map(|(exists, appears_after, vanishes, ends, cancel)| Script {
            exists,
            appears_after,
            vanishes,
            ends,
            cancel,
            metadata: Some(MetadataScript::default()),
            ..Script::default()
        })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => moment().prop_map(Step::Wait),
        4 => Just(Step::Cancel),
        1 => result().prop_map(Step::Finish),
        1 => script().prop_map(|script| Step::Replace(Box::new(script))),
    ]
}

/// The answers about one operation so far.
#[derive(Default)]
struct Witness {
    seen: Option<Value>,
    gone: bool,
    accepted: bool,
    cancelled_elsewhere: bool,
}

impl Witness {
    fn of(script: &Script) -> Self {
        let elsewhere = EndResult::CancelledElsewhere;
        let ends = script.ends.as_ref().map(|ending| &ending.result);
        Self {
            cancelled_elsewhere: ends == Some(&elsewhere),
            ..Self::default()
        }
    }

    /// Adds an answer; fails if the contract forbids it.
    fn observe(&mut self, answer: Option<Value>) -> Result<(), TestCaseError> {
        let Some(json) = answer else {
            self.gone = self.seen.is_some();
            return Ok(());
        };
        prop_assert!(!self.gone, "what was gone came back: {json}");
        prop_assert_eq!(&json["name"], NAME);
        let done = json.get("done") == Some(&Value::Bool(true));
        let (response, error) = (json.get("response"), json.get("error"));
        prop_assert!(response.is_none() || error.is_none(), "both: {json}");
        prop_assert!(
            done || (response.is_none() && error.is_none()),
            "a result, not done: {json}"
        );
        prop_assert!(
            json.get("done").is_none_or(|done| done == true),
            "ProtoJSON leaves false out: {json}"
        );
        if error.is_some_and(|error| error["code"] == 1) {
            prop_assert!(
                self.accepted || self.cancelled_elsewhere,
                "nobody cancelled it: {json}"
            );
        }
        if let Some(before) = &self.seen
            && before["done"] == true
        {
            prop_assert_eq!(before, &json, "what was done has changed");
        }
        self.seen = Some(json);
        Ok(())
    }
}

fn answer_to_get(operation: &mut Operation, age: Duration) -> Option<Value> {
    let phase = operation.phase(age);
    operation_json(NAME, operation.script(), &phase, OperationForm::Longrunning)
}

fn take(
    step: Step,
    operation: &mut Operation,
    age: &mut Duration,
    witness: &mut Witness,
) -> Result<(), TestCaseError> {
    let before = operation.phase(*age);
    match step {
        Step::Wait(time) => *age += time,
        Step::Replace(script) => {
            *witness = Witness::of(&script);
            *operation = Operation::new(*script);
            *age = Duration::ZERO;
        }
        Step::Finish(result) => {
            let elsewhere = result == EndResult::CancelledElsewhere;
            let running = matches!(before, Phase::Running | Phase::Cancelling);
            prop_assert_eq!(operation.finish(*age, result), running);
            witness.cancelled_elsewhere |= running && elsewhere;
        }
        Step::Cancel => {
            let verdict = operation.cancel(*age);
            prop_assert_eq!(verdict == CancelVerdict::Absent, before == Phase::Absent);
            if matches!(before, Phase::Cancelled | Phase::Ended(_)) {
                // An operation that vanishes once a cancel is accepted shows that this one was not.
                prop_assert_eq!(
                    &operation.phase(*age),
                    &before,
                    "a late cancel had an effect"
                );
            } else if verdict == CancelVerdict::Ok {
                witness.accepted = true;
                let effect = &operation.script().cancel.effect;
                prop_assert_ne!(effect, &CancelEffect::NotCancellable);
                witness.cancelled_elsewhere |=
                    *effect == CancelEffect::Ends(EndResult::CancelledElsewhere);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_life_contradicts_itself(
        script in script(),
        steps in proptest::collection::vec(step(), 1..24),
    ) {
        let mut witness = Witness::of(&script);
        let mut operation = Operation::new(script);
        let mut age = Duration::ZERO;
        witness.observe(answer_to_get(&mut operation, age))?;
        for step in steps {
            take(step, &mut operation, &mut age, &mut witness)?;
            witness.observe(answer_to_get(&mut operation, age))?;
        }
    }
}

#[test]
fn the_witness_sees_what_is_forbidden() {
    let running = serde_json::json!({"name": NAME});
    let cancelled = serde_json::json!({"name": NAME, "done": true, "error": {"code": 1}});
    let unfinished = serde_json::json!({"name": NAME, "response": {}});
    let looks = |seen: &[Option<&Value>]| {
        let mut witness = Witness {
            accepted: seen.len() > 1,
            ..Witness::default()
        };
        seen.iter()
            .all(|json| witness.observe(json.cloned()).is_ok())
    };
    assert!(looks(&[
        None,
        Some(&running),
        Some(&cancelled),
        Some(&cancelled),
        None
    ]));
    assert!(!looks(&[Some(&cancelled)]), "nobody cancelled it");
    assert!(!looks(&[Some(&unfinished)]), "a result, not done");
    assert!(
        !looks(&[Some(&cancelled), Some(&running)]),
        "done goes back"
    );
    assert!(
        !looks(&[Some(&running), None, Some(&running)]),
        "it comes back"
    );
}
