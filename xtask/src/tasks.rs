//! The tasks, a file each.

pub(crate) mod control_plane;
