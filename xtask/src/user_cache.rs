//! The folder in which everything that is built or installed for this user is kept.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// `$XDG_CACHE_HOME/opcancel`, or `~/.cache/opcancel`; it need not exist.
///
/// # Errors
/// When neither variable names an absolute path.
pub fn folder() -> Result<PathBuf> {
    let absolute = |variable| {
        env::var_os(variable)
            .map(PathBuf::from)
            .filter(|path: &PathBuf| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("opcancel"))
        .context("neither XDG_CACHE_HOME nor HOME is set; the cache needs one of them")
}
