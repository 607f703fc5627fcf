//! What an object may do now: the rules of design section 3, in the order in which they are tried.

use std::time::Duration;

use super::{Cancellation, Context, Grant, Now, cancellation::Mode, ending::Ending, message};
use crate::api::{Outcome, Reason};

/// What the first rule that applies says.
#[derive(Clone, Debug, PartialEq)]
pub enum Gate {
    /// It ends without another call.
    End(Ending),
    /// Nothing can be done until the controller, or its settings, change.
    Stall(Reason, String),
    /// The deadline has passed: one last GET.
    LastLook,
    /// No grant allows it.
    NotGranted,
    /// Whether one does is not known.
    GrantUnknown,
    /// GET only.
    Suspended,
    /// Everything.
    Go,
}

impl Gate {
    /// What it allows.
    pub const fn mode(&self) -> Mode {
        match self {
            Self::End(_) | Self::Stall(..) | Self::NotGranted | Self::GrantUnknown => Mode::Waiting,
            Self::Suspended => Mode::Looking,
            Self::LastLook | Self::Go => Mode::Acting,
        }
    }
}

/// The rule that applies now. Objects that are finished or being deleted never get here.
pub fn gate(known: &Cancellation, context: &Context<'_>) -> Gate {
    let Ok(spec) = &known.object.spec else {
        return Gate::End(Ending::without_result(Outcome::Rejected));
    };
    if let Err(unknown) = &spec.target {
        return Gate::Stall(unknown.reason, unknown.message.clone());
    }
    if context.grant == Grant::Unknown {
        // Not even the deadline ends it: whether it may have its last GET is not known either.
        return Gate::GrantUnknown;
    }
    if deadline_at(known, context.now).is_some_and(|at| at <= context.now.mono) {
        let may_look = context.grant == Grant::Granted && spec.service_account_name.is_none();
        return if may_look {
            Gate::LastLook
        } else {
            Gate::End(Ending::without_result(Outcome::Unknown))
        };
    }
    if context.grant == Grant::NotGranted {
        return Gate::NotGranted;
    }
    if let Some(name) = &spec.service_account_name {
        return Gate::Stall(
            Reason::IdentityNotSupported,
            message::identity_not_supported(name),
        );
    }
    if known.is_suspended() {
        return Gate::Suspended;
    }
    Gate::Go
}

/// When the deadline passes, in monotonic time; `None` before the start.
pub fn deadline_at(known: &Cancellation, now: Now) -> Option<Duration> {
    let started = known.started?;
    let spec = known.object.spec.as_ref().ok()?;
    // The moment is the same whenever it is asked for: time runs on whatever the wall clock does (I10).
    let left = spec.deadline.saturating_sub(started.passed(now));
    Some(now.mono.saturating_add(left))
}
