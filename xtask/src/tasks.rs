//! The tasks, a file each.

pub(crate) mod bench;
mod cargo;
mod cargo_tool;
pub(crate) mod catalogue;
pub(crate) mod control_plane;
pub(crate) mod crds;
pub(crate) mod demo;
pub(crate) mod deploy;
pub(crate) mod fuzz;
pub(crate) mod image;
mod image_environment;
mod interrupt;
mod load_client;
pub(crate) mod release;
pub(crate) mod soak;
mod stand_ins;
mod tcp_proxy;
pub(crate) mod test;
