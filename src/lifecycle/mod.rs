//! The life of one cancellation, decided purely.
//!
//! [`step`] takes what we know of one object, one event and the time, and returns what to do next. It holds no client,
//! clock, random source or log: production, the model checker and the property tests run this same function.
//!
//! Guarantees, whatever the order of events:
//! - a cancel request is asked for only after a status write that raised `cancelAttempts` was answered (I1, I2);
//! - at most one status write, one GET and one POST of an object are under way at a time;
//! - an outcome is decided only by what design section 2 names, and once decided it is not changed (I3, I4);
//! - every wait has an end: [`Plan::wake_at`] or an event that the caller owes (an answer, a change, a grant).
//!
//! Assumptions: the caller answers every effect exactly once, calls again at `wake_at`, and never runs two objects' events
//! through one [`Cancellation`].

mod apply_event;
mod backoff;
mod cancel_answer;
mod cancellation;
mod ending;
mod event;
mod failure;
mod final_report;
mod get_answer;
mod merge_patch;
mod message;
mod next_call;
mod next_write;
mod object;
mod packed;
mod report;
mod rule;
mod status_write;
mod step;
#[cfg(test)]
mod tests;
mod time;

pub use cancellation::Cancellation;
pub use event::{Context, Effect, Event, GetLane, Grant, Notice, Now, Plan, Settings, WriteAnswer};
pub use merge_patch::MergePatch;
pub use object::{MalformedSpec, ObjectView, Spec, UnknownTarget};
pub use packed::{Packed, Packer};
pub use status_write::{StatusWrite, WriteKind};
pub use step::step;
