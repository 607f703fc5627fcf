//! Tests of the whole life, on a simulated clock, API server and Google API.

mod answer_table;
mod budget;
mod cancel_answers;
mod edits_in_a_loop;
mod foreign_intents;
mod get_answers;
mod interleavings;
mod messages;
mod namespace_rate;
mod packed;
mod properties;
mod recovery;
mod rejection;
mod shared_quota;
pub(super) mod simulation;
mod turns;
mod two_processes;
mod waiting_tools;
mod withheld;
