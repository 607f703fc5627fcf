//! The life cycle of one cancellation, decided purely.
//!
//! [`step`] takes the state of one object, an event and the time, and returns what to do next. It holds no client, clock,
//! random source or log: production and the property tests run this same function.
//!
//! Guarantees, whatever the order of events:
//! - a cancel request is sent only after a status write that raised `cancelAttempts` was answered (I1, I2);
//! - each object has at most one status write, one GET and one POST in flight;
//! - an outcome is decided only by an answer or a `rule`, and never changes after that (I3, I4);
//! - every wait has an end: [`Plan::wake_at`], or an event that the caller owes (an answer, a change, a grant, or the turn of
//!   [`Plan::waits_for`]).
//!
//! Assumptions: the caller answers every effect exactly once, calls again at `wake_at`, and never applies one object's event to
//! another object's [`Cancellation`].

mod apply_event;
mod backoff;
mod cancel_answer;
mod cancellation;
mod ending;
mod event;
mod failure;
mod final_report;
mod foreign_intent;
mod get_answer;
mod merge_patch;
// Only in the crate model/, which compiles these sources with optimisation.
#[cfg(opcancel_model)]
#[path = "lifecycle/tests"]
pub mod checked {
    pub mod model;
}
mod message;
mod next_call;
mod next_write;
mod object;
mod other_process;
mod packed;
mod rejection;
mod report;
mod rule;
mod status_write;
mod step;
#[cfg(test)]
mod tests;
mod time;

pub use cancellation::Cancellation;
pub use event::{
    CallPriority, Context, Effect, Event, GetLane, Grant, MayCall, Notice, Now, Others, Plan,
    Settings, WriteAnswer,
};
pub use foreign_intent::ForeignIntent;
pub use merge_patch::MergePatch;
pub use object::{MalformedSpec, ObjectView, Spec, UnknownTarget};
pub use packed::{Packed, Packer};
pub use status_write::{StatusWrite, WriteKind};
pub use step::step;
