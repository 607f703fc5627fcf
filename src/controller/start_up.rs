//! What has to be true before the controller is ready.

pub mod preflight;
pub mod warm_up;
