//! Starts and watches the spokes of one machine.
//!
//! Answers: how does a request of the hub become a confined process that its host vouches for?
//! Never: vouches for what it has not read from the kernel; starts anything but the spoke program.
//! Carries: I-10, I-11, I-12, I-17.

pub mod serve;

mod process;
mod reserve;
mod spawn;
mod supervise;
mod vouch;

mod folder;
mod placement;

mod lease;
mod lines;
mod log;

pub mod describe;
pub mod probe;
