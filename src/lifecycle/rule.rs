//! What an object may do now: the rules of docs/life-of-a-cancellation.md#which-rule-applies, in their order.

use std::time::Duration;

use super::{Cancellation, Context, Grant, Now, Spec, cancellation::Mode, ending::Ending, message};
use crate::api::{Outcome, Reason};

/// The first rule that applies.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// The object ends without another call.
    End(Ending),
    /// Nothing can be done until the controller or its settings change.
    Stall(Reason, String),
    /// The deadline has passed: one final GET.
    FinalGet,
    /// No grant allows it.
    NotGranted,
    /// The grants could not be read.
    GrantUnknown,
    /// `spec.suspend`: GET only.
    Suspended,
    /// All calls are allowed.
    Proceed,
}

impl Rule {
    /// Which calls it allows.
    pub const fn mode(&self) -> Mode {
        match self {
            Self::End(_) | Self::Stall(..) | Self::NotGranted | Self::GrantUnknown => Mode::Waiting,
            Self::Suspended => Mode::Observing,
            Self::FinalGet | Self::Proceed => Mode::Acting,
        }
    }
}

/// The rule that applies now. Objects that are finished or being deleted never get here.
pub fn applicable_rule(state: &Cancellation, context: &Context<'_>) -> Rule {
    let Ok(spec) = &state.object.spec else {
        return Rule::End(Ending::without_result(Outcome::Rejected));
    };
    if let Err(unknown) = &spec.target {
        return Rule::Stall(unknown.reason, unknown.message.clone());
    }
    if context.grant == Grant::Unknown {
        // Not even the deadline ends it: whether its final GET is allowed is not known either.
        return Rule::GrantUnknown;
    }
    if deadline_at(state, context.now).is_some_and(|at| at <= context.now.mono) {
        let may_look =
            context.grant == Grant::Granted && unsupported_identity(spec, context).is_none();
        return if may_look {
            Rule::FinalGet
        } else {
            Rule::End(Ending::without_result(Outcome::Unknown))
        };
    }
    if context.grant == Grant::NotGranted {
        return Rule::NotGranted;
    }
    if let Some(name) = unsupported_identity(spec, context) {
        return Rule::Stall(
            Reason::IdentityNotSupported,
            message::identity_not_supported(name),
        );
    }
    if state.is_suspended() {
        return Rule::Suspended;
    }
    Rule::Proceed
}

/// The ServiceAccount of the spec, if this controller cannot act as one.
fn unsupported_identity<'a>(spec: &'a Spec, context: &Context<'_>) -> Option<&'a str> {
    let name = spec.service_account_name.as_deref();
    name.filter(|_| !context.settings.service_accounts)
}

/// When the deadline passes, in monotonic time; `None` before the start.
pub fn deadline_at(state: &Cancellation, now: Now) -> Option<Duration> {
    let started = state.started?;
    let spec = state.object.spec.as_ref().ok()?;
    // Counted on the monotonic clock, so a step of the wall clock does not move it (I10).
    let left = spec.deadline.saturating_sub(started.passed(now));
    Some(now.mono.saturating_add(left))
}
