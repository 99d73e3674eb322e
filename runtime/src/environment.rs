//! Every environment variable that this program reads.
//!
//! Answers: what does the environment say, and what of it do children get?
//! Never: hands a variable on that is not named here; a key in the environment stays in this process.
//! Carries: I-10, I-15.

use std::ffi::OsString;
use std::path::PathBuf;

/// All settings as `SECGPT_<SECTION>_<KEY>`, e.g. `SECGPT_MODEL_BASE_URL` for `[model] base_url`.
pub const PREFIX: &str = "SECGPT_";

/// Names the configuration file, as `--config` does.
pub const CONFIG: &str = "SECGPT_CONFIG";

/// The folder with `nats-server` and `redis-server`; `make run` and `make test` set it.
pub const BUNDLE_DIR: &str = "SECGPT_BUNDLE_DIR";

/// A `nats-server` to use instead of the bundled one.
pub const NATS_SERVER: &str = "SECGPT_NATS_SERVER";

/// A `redis-server` to use instead of the bundled one.
pub const REDIS_SERVER: &str = "SECGPT_REDIS_SERVER";

/// Variables with our prefix that are no settings.
pub const NOT_SETTINGS: [&str; 4] = [CONFIG, BUNDLE_DIR, NATS_SERVER, REDIS_SERVER];

/// What goes on to children of ours: where programs are, where temporary files go, how to log. Nothing else: a key
/// that happens to be in the user's environment must not be readable in `/proc` of a process that has no use for it.
pub const HANDED_ON: [&str; 7] =
    ["PATH", "HOME", "TMPDIR", "LANG", "RUST_LOG", "RUST_BACKTRACE", "XDG_CACHE_HOME"];

/// The variable's value, unless it is unset or empty.
#[must_use]
pub fn var(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// As text.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    var(name)?.into_string().ok()
}

/// As a path.
#[must_use]
pub fn path(name: &str) -> Option<PathBuf> {
    var(name).map(PathBuf::from)
}

/// The variables for a child.
pub fn for_children() -> impl Iterator<Item = (&'static str, OsString)> {
    HANDED_ON.into_iter().filter_map(|name| Some((name, var(name)?)))
}

/// A folder of the XDG convention, with its usual place under the home folder.
fn xdg(name: &str, usual: &str) -> Option<PathBuf> {
    path(name).filter(|path| path.is_absolute()).or_else(|| Some(path("HOME")?.join(usual)))
}

/// Where configuration is kept.
#[must_use]
pub fn config_home() -> Option<PathBuf> {
    xdg("XDG_CONFIG_HOME", ".config")
}

/// Where state is kept.
#[must_use]
pub fn state_home() -> Option<PathBuf> {
    xdg("XDG_STATE_HOME", ".local/state")
}

/// Where sockets may be: short, and gone after a reboot.
#[must_use]
pub fn runtime_dir() -> PathBuf {
    path("XDG_RUNTIME_DIR").filter(|path| path.is_absolute()).unwrap_or_else(std::env::temp_dir)
}

/// The name of the person at the keyboard.
#[must_use]
pub fn login_name() -> Option<String> {
    text("USER").or_else(|| text("LOGNAME"))
}

/// Is colour unwanted? By the convention of the variable, any value means so.
#[must_use]
pub fn no_color() -> bool {
    var("NO_COLOR").is_some() || var("TERM").is_some_and(|term| term == "dumb")
}
