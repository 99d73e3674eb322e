//! What an app may use where neither its manifest nor the configuration says.
//!
//! Answers: how much, and why that much?
//! Never: means "no limit" by a zero; a zero is an error.
//! Carries: I-16.

use bus::limits::TASK;
use bus::message::profile::Limits;

/// The usual limits.
pub const DEFAULT: Limits = Limits {
    // A language runtime with a small server in it; V8 needs more, and its manifest says so.
    memory_mb: 256,
    // A task is mostly waiting; a minute of computing is already a lot.
    cpu_s: 60,
    file_mb: 16,
    data_mb: 64,
    // Threads count: a small runtime's pool and some workers.
    processes: 64,
    open_files: 256,
    task_s: TASK.as_secs(),
    // A delegate's loop: each round is a call, and more than this many is a loop that does not end.
    model_calls: 12,
    tokens: 200_000,
    requests: 100,
};
