//! `preload.c`, compiled once: a node with a wrong clock, and a name service that comes and goes.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The shared library for `LD_PRELOAD`.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let library = folder.join("reliability-preload.so");
        // Another process may compile or use it just now.
        let fresh = folder.join(format!("reliability-preload.{}.so", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reliability/preload.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&fresh)
            .args([source, "-ldl"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{said}");
        std::fs::rename(fresh, &library).unwrap();
        library
    })
}
