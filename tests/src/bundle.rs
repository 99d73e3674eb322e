//! The real broker and the real store.
//!
//! Answers: which programs do the tests run?
//! Never: skips a test because they are missing; the script's own words say how to get them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The programs that the system brings along.
pub struct Bundle {
    /// The folder of both, for `SECGPT_BUNDLE_DIR`.
    pub dir: PathBuf,
    /// `nats-server`.
    pub nats_server: PathBuf,
    /// `redis-server`.
    pub redis_server: PathBuf,
}

/// The bundle, brought by `deploy/bundle.sh` once per test program.
///
/// # Panics
/// If the script fails.
pub fn bundle() -> &'static Bundle {
    static BUNDLE: OnceLock<Bundle> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        let output = Command::new(workspace().join("deploy/bundle.sh")).output().expect("deploy/bundle.sh");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let dir = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        Bundle { nats_server: dir.join("nats-server"), redis_server: dir.join("redis-server"), dir }
    })
}

/// The top folder of the project.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}
