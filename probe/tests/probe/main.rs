//! `opcancel-probe` as its own process, against the emulator: what it shows, that each row can fail, and that it cancels
//! nothing that the flags do not name.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod consent;
mod end;
mod harness;
mod mutations;
mod relay;
mod reports;
mod safety;
mod services;
mod usage;
