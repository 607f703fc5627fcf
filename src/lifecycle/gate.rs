//! What an object may do now: the rules of design section 3, in the order in which they are tried.

use std::time::Duration;

use super::{Cancellation, Context, Grant, Now, cancellation::Mode, ending::Ending, message, time};
use crate::api::{Outcome, Reason};

/// The least time by this process's own clock before an outcome `Unknown`: a jump of the wall clock ends nothing.
const LEAST_OWN_TIME: Duration = Duration::from_secs(60);

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
    /// GET only.
    Suspended,
    /// Everything.
    Go,
}

impl Gate {
    /// What it allows.
    pub const fn mode(&self) -> Mode {
        match self {
            Self::End(_) | Self::Stall(..) | Self::NotGranted => Mode::Waiting,
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
    let own = now.mono.saturating_sub(started.mono);
    // A wall clock that was set back stretches no deadline: time runs on whatever happens (I10).
    let passed = time::since(started.stored, now).max(own);
    let by_wall = spec.deadline.saturating_sub(passed);
    let by_own_clock = spec.deadline.min(LEAST_OWN_TIME).saturating_sub(own);
    Some(now.mono.saturating_add(by_wall.max(by_own_clock)))
}
