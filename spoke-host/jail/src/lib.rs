//! Confinement of spokes and app children.
//!
//! Answers: how does a process give up everything it does not need, how is a stranger's program
//! run so that it cannot reach anything, and what does the kernel say is in force?
//! Never: starts a process that is less confined than asked for; there is no weaker mode.
//! Carries: I-10, I-11, I-12, I-16.

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!(
    "confinement is written for Linux on x86_64 and aarch64: other machines have other system calls"
);

mod error;
mod start;
pub use error::{Error, Layer};
pub use start::prepare;

pub mod confine;
pub mod limits;

pub mod app;
pub mod identity;
pub mod probe;
pub mod report;
pub mod seccomp;

pub mod sys;

pub mod descriptors;
mod environment;
mod namespaces;
mod privileges;
mod step;
mod view;

pub use report::Role;

/// What is enforced, in order, for people and for the README.
#[must_use]
pub fn explain(role: Role) -> Vec<(Layer, &'static str)> {
    match role {
        Role::Spoke => confine::steps(),
        Role::App => app::steps(),
    }
}
