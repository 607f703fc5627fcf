//! `opcancel-probe` as its own process, against the emulator: what it shows, that each row can fail, and that it cancels
//! nothing that it was not told to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod end;
mod leave;
mod mutations;
mod relay;
mod safety;
mod shown;
mod stage;
mod usage;
